// Events as they arrive. The stream says that something came; the log is asked for what it was, so that nothing is missed and the
// envelope is the received one. Newest first, the newest 2,000 kept.
import { signal } from '@preact/signals';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, get, url, type LoggedEvent } from '../api.js';
import { clock } from '../format.js';
import { number, t, tn } from '../i18n.js';
import { pauseToggle } from '../keyboard.js';
import { openStream } from '../live.js';
import { millis, wordsOf } from '../logic.js';
import { location, setQuery } from '../router.js';
import { Copy, Dialog, Empty, Failure, FilterInput, Icon, Json, PageHead, Skeleton, useMedia, useTitle, VirtualList } from '../ui.js';

const kept = 2000;
const paused = signal(false);

interface Shape { detail: Record<string, unknown>; type: string; source: string }
function shape(event: Record<string, unknown>): Shape {
    const detail = event.detail && typeof event.detail === 'object' ? (event.detail as Record<string, unknown>) : {};
    return { detail, type: String(event['detail-type'] ?? event.type ?? ''), source: String(event.source ?? '') };
}
const text = (value: unknown) => (typeof value === 'string' || typeof value === 'number' ? String(value) : '');
const shortType = (type: string) => type.replace(/^CodePipeline (\w+) Execution State Change$/, '$1');

export function stateClass(state: string): string {
    switch (state) {
        case 'SUCCEEDED': return 's-Succeeded';
        case 'FAILED': return 's-Failed';
        case 'STARTED':
        case 'RESUMED': return 's-InProgress';
        case 'STOPPING':
        case 'STOPPED': return 's-Stopped';
        case 'CANCELED':
        case 'SUPERSEDED': return 's-Superseded';
        case 'ABANDONED': return 's-Abandoned';
        default: return 's-none';
    }
}

export function EventsPage() {
    useTitle(t('events.title'));
    const [list, setList] = useState<LoggedEvent[] | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const [waiting, setWaiting] = useState<LoggedEvent[]>([]);
    const newest = useRef(0);
    const [turn, again] = useState(0);
    const narrow = useMedia('(max-width: 820px)');

    useEffect(() => {
        const abort = new AbortController();
        let close: (() => void) | null = null;
        let timer: ReturnType<typeof setTimeout> | undefined;
        let asking = false;
        let more = false;

        const take = (fresh: LoggedEvent[]) => {
            const unseen = fresh.filter((e) => e.position > newest.current).sort((a, b) => b.position - a.position);
            if (unseen.length === 0) return;
            newest.current = unseen[0]!.position;
            if (paused.value) setWaiting((old) => [...unseen, ...old].slice(0, kept));
            else setList((old) => [...unseen, ...(old ?? [])].slice(0, kept));
        };
        const ask = async (): Promise<void> => {
            if (asking) {
                more = true;
                return;
            }
            asking = true;
            try {
                const answer = await get<{ events: LoggedEvent[] }>(url('/api/v1/events', { from: newest.current, order: 'asc', limit: 500 }), abort.signal);
                take(answer.events);
                if (answer.events.length >= 500) more = true;
            } catch {
                /* the next message asks again; the banner tells of a lost server */
            }
            asking = false;
            if (more && !abort.signal.aborted) {
                more = false;
                soon();
            }
        };
        const soon = () => {
            if (timer !== undefined) return;
            timer = setTimeout(() => { timer = undefined; void ask(); }, 250);
        };
        get<{ position: number; events: LoggedEvent[] }>(url('/api/v1/events', { order: 'desc', limit: 300 }), abort.signal).then((answer) => {
            newest.current = answer.events[0]?.position ?? 0;
            setList(answer.events);
            setError(null);
            close = openStream({ path: '/api/v1/stream', from: null, onRefetch: soon, onEvent: (event) => { if (event === 'transition') soon(); } });
        }, (problem: unknown) => {
            if (!abort.signal.aborted) setError(problem instanceof ApiError ? problem : new ApiError(0, 'unavailable', String(problem)));
        });
        return () => {
            abort.abort();
            clearTimeout(timer);
            close?.();
        };
    }, [turn]);

    const resume = () => {
        paused.value = !paused.value;
        if (!paused.value) {
            setList((old) => [...waiting, ...(old ?? [])].slice(0, kept));
            setWaiting([]);
        }
    };
    useEffect(() => {
        pauseToggle.value = resume;
        return () => { if (pauseToggle.value === resume) pauseToggle.value = null; };
    });
    useEffect(() => () => { paused.value = false; }, []);

    const filter = location.value.query.get('q') ?? '';
    const shown = useMemo(() => {
        const words = wordsOf(filter);
        if (!list || words.length === 0) return list;
        return list.filter((e) => {
            const all = JSON.stringify(e.event).toLowerCase();
            return words.every((w) => all.includes(w));
        });
    }, [list, filter]);

    const wanted = location.value.query.get('position');
    return (
        <div class="page">
            <PageHead title={t('events.title')}><p class="sub">{t('events.subtitle')}</p></PageHead>
            <div class="toolbar">
                <FilterInput label={t('events.filter')} value={filter} onInput={(v) => setQuery({ q: v })} />
                <button type="button" class="button" data-pause aria-pressed={paused.value} onClick={resume}><Icon name={paused.value ? 'play' : 'pause'} />{t(paused.value ? 'events.resume' : 'events.pause')}</button>
                <span class="toolbar-note" role="status">{paused.value ? tn('events.paused', waiting.length) : list && list.length >= kept ? t('events.kept', { n: kept }) : ''}</span>
            </div>
            {error && !list ? <Failure error={error} retry={() => again((n) => n + 1)} /> : !shown ? <Skeleton lines={14} />
                : list!.length === 0 ? <Empty icon="event" title={t('events.empty')} hint={t('events.empty.hint')}><pre class="try">{`curl --data-binary @event.json ${window.location.origin}/events`}</pre></Empty>
                : shown.length === 0 ? <Empty icon="search" title={t('events.nomatch')} />
                : (
                    <div class="list-frame framed">
                        <div class="event-head" aria-hidden="true"><span>{t('events.position')}</span><span>{t('events.received')}</span><span>{t('events.type')}</span><span>{t('events.pipeline')}</span><span>{t('events.what')}</span><span>{t('events.state')}</span><span>{t('events.mark')}</span></div>
                        <VirtualList count={shown.length} rowHeight={narrow ? 52 : 34} label={t('events.title')} keyOf={(i) => String(shown[i]!.position)} render={(i) => <Line logged={shown[i]!} />} />
                    </div>
                )}
            {wanted !== null && <Drawer position={Number(wanted)} known={list?.find((e) => e.position === Number(wanted)) ?? null} />}
        </div>
    );
}

function Line({ logged }: { logged: LoggedEvent }) {
    const { detail, type, source } = shape(logged.event);
    const state = text(detail.state);
    const what = [text(detail.stage), text(detail.action)].filter(Boolean).join(' › ');
    const href = `/events?${new URLSearchParams({ ...Object.fromEntries(location.value.query), position: String(logged.position) }).toString()}`;
    return (
        <div class={logged.duplicate ? 'event-row copy' : 'event-row'}>
            <a class="row-link num" data-nav href={href}>{number(logged.position)}</a>
            <span class="num dim" title={logged.receivedTime ?? ''}>{clock(millis(logged.receivedTime), true)}</span>
            <span title={`${source}: ${type}`}>{shortType(type)}</span>
            <span class="strong">{text(detail.pipeline) || source}</span>
            <span>{what}</span>
            <span class={`state ${stateClass(state)}`}>{state}</span>
            <span>{logged.duplicate && <span class="mark duplicate"><Icon name="duplicate" />{t('events.duplicate')}</span>}</span>
        </div>
    );
}

function Drawer({ position, known }: { position: number; known: LoggedEvent | null }) {
    const [found, set] = useState<LoggedEvent | null>(known);
    const [error, setError] = useState<string | null>(null);
    useEffect(() => {
        set(known);
        setError(null);
        if (known || !Number.isFinite(position)) return;
        const abort = new AbortController();
        get<{ events: LoggedEvent[] }>(url('/api/v1/events', { from: Math.max(0, position - 1), order: 'asc', limit: 2 }), abort.signal).then(
            (answer) => {
                const wanted = answer.events.find((e) => e.position === position);
                if (wanted) set(wanted);
                else setError(t('common.notFound'));
            },
            (problem: unknown) => { if (!abort.signal.aborted) setError(problem instanceof ApiError ? problem.message : String(problem)); });
        return () => abort.abort();
    }, [position, known !== null]);
    const executionId = found ? text(shape(found.event).detail['execution-id']) : '';
    return (
        <Dialog side title={t('events.detail', { n: position })} onClose={() => setQuery({ position: null })}>
            {found ? <>
                <p class="drawer-tools">{executionId && <a class="button small" href={`/executions/${encodeURIComponent(executionId)}`}>{t('execution.kind')}<Icon name="arrow" /></a>}<Copy text={JSON.stringify(found.event, null, 2)} label={t('events.copy')} /></p>
                <Json value={found.event} label={t('events.raw')} />
            </> : error ? <p class="dim pad">{error}</p> : <Skeleton lines={8} />}
        </Dialog>
    );
}
