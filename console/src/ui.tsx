// The parts that pages are made of. Styles live in styles.css; the only styles set from here are positions and sizes, through
// the element's style object, which a strict Content-Security-Policy allows.
import type { ComponentChildren, JSX } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useComputed } from '@preact/signals';
import { ApiError, get, token, type StageCell, type Status } from './api.js';
import { dateTime, duration, relative } from './format.js';
import { t, tn, type Key } from './i18n.js';
import { now } from './live.js';
import { millis, safeUrl, visibleRange } from './logic.js';
import { listNavigation } from './keyboard.js';
import { scroller } from './router.js';

// ---------------------------------------------------------------- icons

type IconName = 'overview' | 'incident' | 'delivery' | 'event' | 'search' | 'sun' | 'moon' | 'auto' | 'help' | 'gap' | 'copy' | 'external' | 'mail'
    | 'again' | 'pause' | 'play' | 'close' | 'commit' | 'person' | 'arrow' | 'late' | 'duplicate' | 'check' | 'cross' | 'minus' | 'clock' | 'held' | 'back' | 'rule';

// Functions, because a node must not stand in two places of one page.
const paths: Record<IconName, () => JSX.Element> = {
    overview: () => <path d="M2.5 4h3M2.5 8h3M2.5 12h3M8 4h5.5M8 8h5.5M8 12h5.5" />,
    incident: () => <path d="M8 2.2 14.3 13H1.7zM8 6.5v3M8 11.2v.1" />,
    delivery: () => <path d="M14 2 7 9M14 2l-4.3 12L7 9 2 6.3z" />,
    event: () => <path d="M1.5 8h3l2-5 3 10 2-5h3" />,
    search: () => <path d="M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.4 10.4 14 14" />,
    sun: () => <path d="M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1" />,
    moon: () => <path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a5.8 5.8 0 1 0 7 7z" />,
    auto: () => <><circle cx="8" cy="8" r="5.5" /><path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor" /></>,
    help: () => <><path d="M6 6a2 2 0 1 1 2.8 1.8c-.5.3-.8.6-.8 1.2v.4M8 11.8v.1" /><circle cx="8" cy="8" r="6.2" /></>,
    gap: () => <path d="M2 8h3M11 8h3M6.3 5.2l3.4 5.6M9.7 5.2 6.3 10.8" />,
    copy: () => <path d="M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3" />,
    external: () => <path d="M9 2.5h4.5V7M13.5 2.5 7.5 8.5M11.5 9.5v4h-9v-9h4" />,
    mail: () => <path d="M2 3.5h12v9H2zM2 4.5l6 4.5 6-4.5" />,
    again: () => <path d="M13 8a5 5 0 1 1-1.5-3.6M13 2v3h-3" />,
    pause: () => <path d="M5.5 3.5v9M10.5 3.5v9" />,
    play: () => <path d="M5 3v10l8-5z" />,
    close: () => <path d="m4 4 8 8M12 4l-8 8" />,
    commit: () => <><circle cx="8" cy="8" r="2.6" /><path d="M1.5 8h3.9M10.6 8h3.9" /></>,
    person: () => <><circle cx="8" cy="5.5" r="2.7" /><path d="M2.8 13.5c.6-2.6 2.7-3.9 5.2-3.9s4.6 1.3 5.2 3.9" /></>,
    arrow: () => <path d="M3 8h9.5M9 4.5 12.5 8 9 11.5" />,
    late: () => <path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.3 1.5" />,
    duplicate: () => <path d="M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3" />,
    check: () => <path d="m3.5 8.5 3 3 6-7" />,
    cross: () => <path d="m4.5 4.5 7 7M11.5 4.5l-7 7" />,
    minus: () => <path d="M4 8h8" />,
    clock: () => <path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.3 1.5" />,
    held: () => <path d="M4 7.5h8v6H4zM5.7 7.5V5a2.3 2.3 0 0 1 4.6 0v2.5" />,
    rule: () => <path d="M2 3.5h12L9.5 9v4.5l-3-1.5V9z" />,
    back: () => <path d="M10 3.5 5.5 8 10 12.5" />,
};

export function Icon({ name }: { name: IconName }) {
    return <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">{paths[name]()}</svg>;
}

// Every status has a shape of its own, so that colour is never the only sign.
const shapes: Record<Status | 'none', () => JSX.Element> = {
    Succeeded: () => <><circle class="fill" cx="8" cy="8" r="7" /><path class="cut" d="m4.8 8.3 2.2 2.2 4.3-4.8" /></>,
    Failed: () => <><path class="fill" d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z" /><path class="cut" d="m5.4 5.4 5.2 5.2M10.6 5.4l-5.2 5.2" /></>,
    InProgress: () => <><circle class="track" cx="8" cy="8" r="5.8" /><path class="spin" d="M8 2.2A5.8 5.8 0 0 1 13.8 8" /><circle class="fill" cx="8" cy="8" r="2" /></>,
    Stopping: () => <><circle class="line dashed" cx="8" cy="8" r="6" /><path class="fill" d="M5.8 5.8h4.4v4.4H5.8z" /></>,
    Stopped: () => <><path class="fill" d="M4 1.5h8A2.5 2.5 0 0 1 14.5 4v8a2.5 2.5 0 0 1-2.5 2.5H4A2.5 2.5 0 0 1 1.5 12V4A2.5 2.5 0 0 1 4 1.5z" /><path class="cut" d="M6 5.5v5M10 5.5v5" /></>,
    Superseded: () => <><circle class="line" cx="8" cy="8" r="6.2" /><path class="line" d="m5 5.5 2.5 2.5L5 10.5M8.5 5.5 11 8l-2.5 2.5" /></>,
    Cancelled: () => <><circle class="line" cx="8" cy="8" r="6.2" /><path class="line" d="m3.9 12.1 8.2-8.2" /></>,
    Abandoned: () => <><circle class="line dotted" cx="8" cy="8" r="6.2" /><path class="line" d="M6.4 6.5a1.6 1.6 0 1 1 2.3 1.5c-.5.2-.7.5-.7 1M8 11v.1" /></>,
    none: () => <circle class="line dotted" cx="8" cy="8" r="5.5" />,
};

export function statusName(status: string | null | undefined): string {
    const known = status && status in shapes ? (status as Status) : null;
    return known ? t(`status.${known}`) : status ? status : t('status.none');
}

export function StatusIcon({ status, quiet }: { status: Status | string | null; quiet?: boolean }) {
    const shape = status && status in shapes ? (status as Status) : 'none';
    const said = quiet ? { 'aria-hidden': true as const } : { role: 'img' as const, 'aria-label': statusName(status) };
    return <svg class={`status-icon s-${shape}`} viewBox="0 0 16 16" {...said}>{shapes[shape]()}</svg>;
}

export function StatusPill({ status }: { status: Status | null }) {
    return <span class={`pill s-${status ?? 'none'}`}><StatusIcon status={status} quiet />{statusName(status)}</span>;
}

// The chain of stages of a row. Cells shrink to their icon before they overflow; of many stages only those that matter now are named.
export function StageChain({ stages, small }: { stages: StageCell[]; small?: boolean }) {
    return (
        <ol class={small ? 'chain small' : stages.length > 8 ? 'chain many' : 'chain'} aria-label={t('overview.stages')}>
            {stages.map((stage) => {
                const said = `${stage.stageName}: ${statusName(stage.status)}${stage.attempt > 1 ? `, ${t('execution.attempt.n', { n: stage.attempt })}` : ''}`;
                return (
                    <li key={stage.stageName} class={`cell s-${stage.status ?? 'none'}`} title={said} data-stage={stage.stageName} data-status={stage.status ?? 'none'}>
                        <StatusIcon status={stage.status} quiet />
                        <span class="cell-name" aria-hidden="true">{stage.stageName}</span>
                        {stage.attempt > 1 && <span class="tries" aria-hidden="true">×{stage.attempt}</span>}
                        <span class="sr">{said}</span>
                    </li>
                );
            })}
        </ol>
    );
}

// ---------------------------------------------------------------- time

// Repaints its text only when the text differs, not once a second.
export function Ago({ time }: { time: string | null }) {
    const at = millis(time);
    const text = useComputed(() => relative(at, now.value));
    return <AgoText key={time ?? ''} text={text} time={time} at={at} />;
}

function AgoText({ text, time, at }: { text: { value: string }; time: string | null; at: number | null }) {
    if (at === null) return <span class="dim">–</span>;
    return <time dateTime={time ?? ''} title={dateTime(at)}>{text.value}</time>;
}

export function At({ time }: { time: string | null }) {
    const at = millis(time);
    return at === null ? <span class="dim">–</span> : <time dateTime={time ?? ''} title={time ?? ''}>{dateTime(at)}</time>;
}

// A length that still grows while `running`.
export function Length({ ms, since, running }: { ms: number | null; since: string | null; running: boolean }) {
    const start = millis(since);
    const text = useComputed(() => (running && start !== null ? duration(Math.max(0, now.value - start)) : duration(ms)));
    return <LengthText key={`${ms}/${since}/${running}`} text={text} />;
}
const LengthText = ({ text }: { text: { value: string } }) => <span class="num">{text.value}</span>;

// ---------------------------------------------------------------- loading and failing

export interface Query<T> { data: T | null; error: ApiError | null; loading: boolean; reload: () => void }

// Loads `path` and keeps what was loaded while it loads again. null loads nothing.
export function useQuery<T>(path: string | null): Query<T> {
    const [state, set] = useState<{ path: string | null; data: T | null; error: ApiError | null; loading: boolean }>({ path, data: null, error: null, loading: path !== null });
    const [turn, again] = useState(0);
    const held = token.value;
    useEffect(() => {
        if (path === null) return;
        const abort = new AbortController();
        set((old) => ({ path, data: old.path === path ? old.data : null, error: old.path === path ? old.error : null, loading: true }));
        get<T>(path, abort.signal).then(
            (data) => set({ path, data, error: null, loading: false }),
            (error: unknown) => {
                if (abort.signal.aborted) return;
                const known = error instanceof ApiError ? error : new ApiError(0, 'unavailable', String(error));
                set((old) => ({ path, data: old.path === path && known.status !== 404 ? old.data : null, error: known, loading: false }));
            });
        return () => abort.abort();
    }, [path, turn, held]);
    const reload = useCallback(() => again((n) => n + 1), []);
    const current = state.path === path;
    return { data: current ? state.data : null, error: current ? state.error : null, loading: current ? state.loading : path !== null, reload };
}

// Calls back at most every `wait` ms, and once more after the last call.
export function useThrottled(callback: () => void, wait: number): () => void {
    const latest = useRef(callback);
    latest.current = callback;
    const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
    useEffect(() => () => clearTimeout(timer.current), []);
    return useCallback(() => {
        if (timer.current !== undefined) return;
        timer.current = setTimeout(() => {
            timer.current = undefined;
            latest.current();
        }, wait);
    }, [wait]);
}

export function Skeleton({ lines = 6, tall }: { lines?: number; tall?: boolean }) {
    return (
        <div class={tall ? 'skeleton tall' : 'skeleton'} role="status" aria-label={t('common.loading')}>
            {Array.from({ length: lines }, (_, i) => <i key={i} class={`w${i % 4}`} />)}
        </div>
    );
}

export function Empty({ icon, title, hint, children }: { icon: IconName; title: string; hint?: string; children?: ComponentChildren }) {
    return (
        <div class="empty">
            <span class="empty-icon"><Icon name={icon} /></span>
            <p class="empty-title">{title}</p>
            {hint && <p class="empty-hint">{hint}</p>}
            {children}
        </div>
    );
}

export function Failure({ error, retry }: { error: ApiError; retry: () => void }) {
    if (error.status === 404) {
        return <Empty icon="search" title={t('common.notFound')} hint={error.message || t('common.notFound.hint')}><a class="button" href="/">{t('common.toOverview')}</a></Empty>;
    }
    return (
        <div role="alert">
            <Empty icon="incident" title={t('common.error')} hint={error.message}><button class="button" onClick={retry}>{t('common.retry')}</button></Empty>
        </div>
    );
}

// ---------------------------------------------------------------- pieces

export function useTitle(...parts: (string | null | undefined)[]): void {
    const title = [...parts.filter(Boolean), 'Waybill'].join(' · ');
    useEffect(() => { document.title = title; }, [title]);
}

export function PageHead({ kind, title, mono, back, children, aside }: { kind?: string; title: ComponentChildren; mono?: boolean; back?: { href: string; text: string }; children?: ComponentChildren; aside?: ComponentChildren }) {
    return (
        <header class="page-head">
            <div class="page-head-main">
                {(back || kind) && <p class="crumb">{back && <a href={back.href}><Icon name="back" />{back.text}</a>}{kind && <span>{kind}</span>}</p>}
                <h1 class={mono ? 'mono' : undefined}>{title}</h1>
                {children}
            </div>
            {aside && <div class="page-head-aside">{aside}</div>}
        </header>
    );
}

export function Section({ title, aside, children, id }: { title: string; aside?: ComponentChildren; children: ComponentChildren; id: string }) {
    return (
        <section class="section" aria-labelledby={id}>
            <div class="section-head"><h2 id={id}>{title}</h2>{aside}</div>
            {children}
        </section>
    );
}

export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
    return <dl class="facts">{rows.filter(([, v]) => v !== null && v !== undefined && v !== '').map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>;
}

// One choice of few, as a row of buttons.
export function Choice<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: readonly [T, ComponentChildren][]; onChange: (value: T) => void }) {
    return (
        <div class="choice" role="group" aria-label={label}>
            {options.map(([key, text]) => <button key={key} type="button" aria-pressed={key === value} data-value={key} onClick={() => onChange(key)}>{text}</button>)}
        </div>
    );
}

export function Tabs<T extends string>({ label, value, options, href }: { label: string; value: T; options: readonly [T, ComponentChildren][]; href: (value: T) => string }) {
    return (
        <nav class="tabs" aria-label={label}>
            {options.map(([key, text]) => <a key={key} href={href(key)} aria-current={key === value ? 'page' : undefined} data-tab={key}>{text}</a>)}
        </nav>
    );
}

export function Copy({ text, label }: { text: string; label?: string }) {
    const [done, set] = useState(false);
    useEffect(() => {
        if (!done) return;
        const timer = setTimeout(() => set(false), 1500);
        return () => clearTimeout(timer);
    }, [done]);
    // Clipboards exist only in secure contexts; over plain HTTP to another host the button stays away.
    if (typeof navigator === 'undefined' || !navigator.clipboard) return null;
    return (
        <button type="button" class={label ? 'button small' : 'icon-button small'} aria-label={label ? undefined : t('common.copyId')} title={t('common.copyId')}
            onClick={() => void navigator.clipboard.writeText(text).then(() => set(true), () => undefined)}>
            <Icon name={done ? 'check' : 'copy'} />{label && (done ? t('events.copied') : label)}
            <span class="sr" role="status">{done ? t('events.copied') : ''}</span>
        </button>
    );
}

export function Outside({ href, children }: { href: string | null; children: ComponentChildren }) {
    const safe = safeUrl(href);
    if (safe === null) return <>{children}</>;
    return <a class="outside" href={safe} target="_blank" rel="noreferrer noopener">{children}<Icon name="external" /><span class="sr">({t('common.newTab')})</span></a>;
}

export function Gaps({ count }: { count: number }) {
    if (count === 0) return null;
    return <span class="gap-mark" title={tn('overview.gap', count)}><Icon name="gap" />{count}<span class="sr">{tn('overview.gap', count)}</span></span>;
}

// JSON with its parts told apart. Text is only ever text: nothing here makes HTML of what an event said.
export function Json({ value, label }: { value: unknown; label: string }) {
    const text = JSON.stringify(value, null, 2) ?? 'null';
    const parts: ComponentChildren[] = [];
    const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;
    let last = 0;
    for (let m = token.exec(text); m && parts.length < 6000; m = token.exec(text)) {
        if (m.index > last) parts.push(text.slice(last, m.index));
        if (m[1]) {
            parts.push(<span class={m[2] ? 'j-key' : 'j-text'}>{m[1]}</span>);
            if (m[2]) parts.push(m[2]);
        } else parts.push(<span class={m[3] ? 'j-word' : 'j-number'}>{m[0]}</span>);
        last = m.index + m[0].length;
    }
    parts.push(text.slice(last));
    return <pre class="json" tabIndex={0} role="region" aria-label={label}>{parts}</pre>;
}

// A modal over the page. The browser's own <dialog> keeps the focus inside and closes on Escape.
export function Dialog({ title, onClose, children, side, wide }: { title: string; onClose: () => void; children: ComponentChildren; side?: boolean; wide?: boolean }) {
    const element = useRef<HTMLDialogElement>(null);
    useLayoutEffect(() => {
        const dialog = element.current;
        if (dialog && !dialog.open) dialog.showModal();
        return () => dialog?.close();
    }, []);
    return (
        <dialog ref={element} class={side ? 'drawer' : wide ? 'dialog wide' : 'dialog'} aria-label={title}
            onCancel={(e) => { e.preventDefault(); onClose(); }} onClick={(e) => { if (e.target === element.current) onClose(); }}>
            <div class="dialog-head"><h2>{title}</h2><button type="button" class="icon-button" aria-label={t('common.close')} onClick={onClose}><Icon name="close" /></button></div>
            <div class="dialog-body">{children}</div>
        </dialog>
    );
}

export function FilterInput({ value, onInput, label }: { value: string; onInput: (value: string) => void; label: string }) {
    return (
        <label class="filter-input">
            <Icon name="search" />
            <span class="sr">{label}</span>
            <input type="search" data-filter placeholder={label} value={value} autoComplete="off" spellcheck={false} onInput={(e) => onInput(e.currentTarget.value)} />
            <kbd aria-hidden="true">f</kbd>
        </label>
    );
}

// ---------------------------------------------------------------- long lists

export interface VirtualListProps {
    count: number; rowHeight: number; label: string;
    keyOf: (index: number) => string; render: (index: number) => ComponentChildren;
}

// Draws only the rows on the screen. It scrolls with the page, so the address bar, find and the wheel work as ever. Rows hold one
// link marked data-nav; j/k move the focus from row to row, drawing rows on the way.
export function VirtualList({ count, rowHeight, label, keyOf, render }: VirtualListProps) {
    const element = useRef<HTMLDivElement>(null);
    const [range, setRange] = useState<[number, number]>([0, Math.min(count, 40)]);
    const wanted = useRef<number | null>(null);
    const size = useRef({ count, rowHeight });
    size.current = { count, rowHeight };

    const measure = useCallback(() => {
        const main = scroller();
        const list = element.current;
        if (!main || !list) return;
        const top = list.getBoundingClientRect().top - main.getBoundingClientRect().top + main.scrollTop;
        const next = visibleRange(main.scrollTop, main.clientHeight, top, size.current.rowHeight, size.current.count, 8);
        setRange((old) => (old[0] === next[0] && old[1] === next[1] ? old : next));
    }, []);

    useLayoutEffect(measure);
    useEffect(() => {
        const main = scroller();
        if (!main) return;
        let frame = 0;
        const soon = () => {
            cancelAnimationFrame(frame);
            frame = requestAnimationFrame(measure);
        };
        main.addEventListener('scroll', soon, { passive: true });
        const observer = new ResizeObserver(soon);
        observer.observe(main);
        if (element.current?.parentElement) observer.observe(element.current.parentElement);
        return () => {
            cancelAnimationFrame(frame);
            main.removeEventListener('scroll', soon);
            observer.disconnect();
        };
    }, [measure]);

    const focusRow = (index: number): boolean => {
        const target = element.current?.querySelector<HTMLElement>(`[data-index="${index}"] [data-nav]`);
        target?.focus({ preventScroll: true });
        return target !== null && target !== undefined;
    };

    useEffect(() => {
        const move = (delta: number) => {
            const main = scroller();
            const list = element.current;
            if (!main || !list || size.current.count === 0) return;
            const row = document.activeElement?.closest<HTMLElement>('[data-index]');
            const from = row && list.contains(row) ? Number(row.dataset.index) : null;
            const next = from === null ? (delta > 0 ? 0 : size.current.count - 1) : Math.max(0, Math.min(size.current.count - 1, from + delta));
            const box = list.getBoundingClientRect();
            const view = main.getBoundingClientRect();
            const top = box.top + next * size.current.rowHeight - view.top;
            const headroom = 64;
            if (top < headroom) main.scrollTop += top - headroom;
            else if (top + size.current.rowHeight > main.clientHeight - 8) main.scrollTop += top + size.current.rowHeight - main.clientHeight + 8;
            wanted.current = next;
            measure();
            if (focusRow(next)) wanted.current = null;
        };
        listNavigation.value = move;
        return () => { if (listNavigation.value === move) listNavigation.value = null; };
    }, [measure]);

    useLayoutEffect(() => {
        if (wanted.current !== null && focusRow(wanted.current)) wanted.current = null;
    });

    const [from, to] = [Math.min(range[0], count), Math.min(range[1], count)];
    const items = [];
    for (let i = from; i < to; i++) {
        items.push(
            <div key={keyOf(i)} class="vrow" role="listitem" aria-setsize={count} aria-posinset={i + 1} data-index={i}
                style={{ transform: `translateY(${i * rowHeight}px)`, height: `${rowHeight}px` }}>{render(i)}</div>);
    }
    return <div ref={element} class="vlist" role="list" aria-label={label} style={{ height: `${count * rowHeight}px` }}>{items}</div>;
}

export const outcomeKey = (outcome: string): Key => (outcome === 'late' ? 'events.late' : outcome === 'duplicate' ? 'events.duplicate' : 'events.accepted');

// Follows a media query.
export function useMedia(query: string): boolean {
    const [matches, set] = useState(() => window.matchMedia(query).matches);
    useEffect(() => {
        const media = window.matchMedia(query);
        const change = () => set(media.matches);
        media.addEventListener('change', change);
        return () => media.removeEventListener('change', change);
    }, [query]);
    return matches;
}
