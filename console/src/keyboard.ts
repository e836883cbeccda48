// Keys that work everywhere. Letters do nothing while somebody types, or while a dialog is open. With a Korean layout the letter
// keys give Hangul, so the key's place on the board counts then.
import { signal } from '@preact/signals';
import { navigate } from './router.js';

export const helpOpen = signal(false);
export const listNavigation = signal<((delta: number) => void) | null>(null);  // set by a long list that draws only some rows
export const pauseToggle = signal<(() => void) | null>(null);                  // set by the page of events

const goTo: Record<string, string> = { o: '/', i: '/incidents', d: '/deliveries', e: '/events', r: '/rules' };

export function letterOf(event: { key: string; code: string }): string {
    if (/^[ㄱ-ㆎ]$/u.test(event.key) || event.key === 'Process') return /^Key[A-Z]$/.test(event.code) ? event.code.slice(3).toLowerCase() : event.key;
    return event.key;
}

const typing = (target: EventTarget | null) =>
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

// In plain lists every row is in the document, and the marked links are walked in their order.
function move(delta: number): void {
    if (listNavigation.value) {
        listNavigation.value(delta);
        return;
    }
    const all = [...document.querySelectorAll<HTMLElement>('#main [data-nav]')];
    if (all.length === 0) return;
    const at = all.indexOf(document.activeElement as HTMLElement);
    const next = all[at < 0 ? (delta > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + delta))]!;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: 'nearest' });
}

export function startKeyboard(): void {
    let goUntil = 0;
    document.addEventListener('keydown', (event) => {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        if (typing(event.target)) {
            if (event.key === 'Escape') (event.target as HTMLElement).blur();
            if (event.key === 'ArrowDown' && (event.target as HTMLElement).hasAttribute('data-filter')) {
                event.preventDefault();
                move(1);
            }
            return;
        }
        if (document.querySelector('dialog[open]')) return;
        const key = letterOf(event);
        if (performance.now() < goUntil) {
            goUntil = 0;
            const to = goTo[key.toLowerCase()];
            if (to) {
                event.preventDefault();
                navigate(to);
                return;
            }
        }
        const onScrollable = event.target instanceof HTMLElement && event.target.matches('pre, .scroll-x');
        const focusOn = (selector: string) => {
            const field = document.querySelector<HTMLInputElement>(selector);
            if (!field) return;
            event.preventDefault();
            field.focus();
            field.select();
        };
        switch (key) {
            case '/': focusOn('[data-search]'); break;
            case 'f': focusOn('[data-filter]'); break;
            case '?': event.preventDefault(); helpOpen.value = true; break;
            case 'g': goUntil = performance.now() + 1500; break;
            case 'j': event.preventDefault(); move(1); break;
            case 'k': event.preventDefault(); move(-1); break;
            case 'ArrowDown': if (!onScrollable) { event.preventDefault(); move(1); } break;
            case 'ArrowUp': if (!onScrollable) { event.preventDefault(); move(-1); } break;
            case 'p': pauseToggle.value?.(); break;
            case 'Escape': if (document.activeElement instanceof HTMLElement) document.activeElement.blur(); break;
        }
    });
}
