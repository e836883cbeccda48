// Addresses without hashes. One signal says where we are; links are plain <a href>, caught at the document, so that opening in a
// new tab, copying and middle-click work as anywhere. The place scrolled to is kept in history.state and given back on return.
import { signal } from '@preact/signals';

export interface Location { path: string; query: URLSearchParams }

export const location = signal<Location>(here());

function here(): Location {
    if (typeof window === 'undefined') return { path: '/', query: new URLSearchParams() };
    return { path: window.location.pathname, query: new URLSearchParams(window.location.search) };
}

export const scroller = () => document.getElementById('main');

function saveScroll(): void {
    history.replaceState({ ...(history.state as object | null), scroll: scroller()?.scrollTop ?? 0 }, '');
}

export function navigate(to: string, options: { replace?: boolean } = {}): void {
    const target = new URL(to, window.location.origin);
    const same = target.pathname === window.location.pathname;
    if (options.replace) history.replaceState(history.state, '', target);
    else {
        saveScroll();
        history.pushState({ scroll: 0 }, '', target);
    }
    location.value = here();
    if (!same) requestAnimationFrame(() => arrive(0));
}

// A new page starts at its top, and the keyboard and the screen reader start there too.
function arrive(scroll: number): void {
    const main = scroller();
    if (!main) return;
    main.scrollTop = scroll;
    if (document.activeElement === document.body || document.activeElement === null) main.focus({ preventScroll: true });
}

export function startRouter(): void {
    history.scrollRestoration = 'manual';
    window.addEventListener('popstate', (event) => {
        location.value = here();
        const scroll = (event.state as { scroll?: number } | null)?.scroll ?? 0;
        requestAnimationFrame(() => requestAnimationFrame(() => arrive(scroll)));
    });
    document.addEventListener('click', (event) => {
        if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        const link = (event.target as Element | null)?.closest?.('a');
        if (!link || link.target || link.hasAttribute('download') || link.origin !== window.location.origin) return;
        if (link.pathname.startsWith('/api/')) return;
        if (link.hash !== '' && link.pathname === window.location.pathname) return;
        event.preventDefault();
        navigate(link.pathname + link.search);
    });
}

// '/executions/{id}' against a path: the captured part, unescaped, or null.
export function match(pattern: string, path: string): Record<string, string> | null {
    const want = pattern.split('/').filter(Boolean);
    const have = path.split('/').filter(Boolean);
    if (want.length !== have.length) return null;
    const found: Record<string, string> = {};
    for (let i = 0; i < want.length; i++) {
        const w = want[i]!;
        const h = have[i]!;
        if (w.startsWith('{')) {
            try {
                found[w.slice(1, -1)] = decodeURIComponent(h);
            } catch {
                return null;
            }
        } else if (w !== h) return null;
    }
    return found;
}

export const link = {
    pipeline: ({ pipeline, account, region }: { pipeline: string; account: string; region: string }) =>
        `/pipelines/${encodeURIComponent(pipeline)}?${new URLSearchParams({ account, region })}`,
    execution: (id: string, tab?: string) => `/executions/${encodeURIComponent(id)}${tab ? `?tab=${tab}` : ''}`,
    incident: (id: string) => `/incidents/${encodeURIComponent(id)}`,
    delivery: (id: string) => `/deliveries/${encodeURIComponent(id)}`,
    event: (position: number) => `/events?position=${position}`,
};

// Change some of the query, keep the rest; no new history entry for what is only a filter.
export function setQuery(changes: Record<string, string | null>): void {
    const query = new URLSearchParams(location.value.query);
    for (const [key, value] of Object.entries(changes)) {
        if (value === null || value === '') query.delete(key);
        else query.set(key, value);
    }
    const text = query.toString();
    navigate(location.value.path + (text ? `?${text}` : ''), { replace: true });
}
