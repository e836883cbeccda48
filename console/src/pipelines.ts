// The overview's rows, kept between visits of the page. Each row is its own signal: a change repaints one row. The order is
// computed when rows come or their rank changes, at most four times a second, and can be held while somebody points at it.
import { batch, computed, signal, type Signal } from '@preact/signals';
import { ApiError, get, url, type PipelineRow } from './api.js';
import { openStream, position } from './live.js';
import { attentionRank, byAttention, byName, groupOf, passes, rowKey, shared, wordsOf, type Group } from './logic.js';

export const rows = new Map<string, Signal<PipelineRow>>();
const shape = signal(0);                       // moves when the order or the counts may have changed
export const loaded = signal(false);
export const failure = signal<ApiError | null>(null);
export const sort = signal<'attention' | 'name'>('attention');
export const text = signal('');
export const group = signal<Group | null>(null);
export const held = signal(false);
export const openIncidents = signal('');       // changes when an incident opened or closed somewhere

export const counts = computed(() => {
    shape.value;
    const result: Record<Group, number> & { total: number } = { failing: 0, running: 0, ok: 0, other: 0, total: rows.size };
    for (const row of rows.values()) result[groupOf(row.peek().status)] += 1;
    return result;
});

function* everyRow(): Iterable<PipelineRow> {
    for (const row of rows.values()) yield row.peek();
}
export const sharedPlaces = computed<Set<string>>(() => {
    shape.value;
    return shared(everyRow());
});

let lastOrder: Signal<PipelineRow>[] = [];
let lastQuestion = '';

export const ordered = computed<Signal<PipelineRow>[]>(() => {
    shape.value;
    const question = `${sort.value}|${text.value}|${group.value}`;
    const words = wordsOf(text.value);
    const wanted = group.value;
    if (held.value && question === lastQuestion) return lastOrder;
    const list: Signal<PipelineRow>[] = [];
    for (const row of rows.values()) if (passes(row.peek(), words, wanted)) list.push(row);
    const compare = sort.value === 'name' ? byName : byAttention;
    list.sort((a, b) => compare(a.peek(), b.peek()));
    const same = list.length === lastOrder.length && list.every((row, i) => row === lastOrder[i]);
    lastQuestion = question;
    if (!same) lastOrder = list;
    return lastOrder;
});

function merge(changed: PipelineRow[]): void {
    let moved = false;
    let incidents = false;
    batch(() => {
        for (const next of changed) {
            const key = rowKey(next);
            const row = rows.get(key);
            if (!row) {
                rows.set(key, signal(next));
                moved = incidents = true;
                continue;
            }
            const old = row.peek();
            if (attentionRank(old) !== attentionRank(next) || old.startTime !== next.startTime || old.status !== next.status) moved = true;
            if (old.openIncident !== next.openIncident) incidents = true;
            row.value = next;
        }
        if (moved) shape.value += 1;
        if (incidents) openIncidents.value = String(Date.now());
    });
}

interface Answer { position: number; pipelines: PipelineRow[]; nextCursor: string | null }

async function fetchAll(abort: AbortSignal): Promise<number> {
    let cursor: string | null = null;
    let first: number | null = null;
    const seen = new Set<string>();
    do {
        const answer: Answer = await get<Answer>(url('/api/v1/pipelines', { limit: 10_000, cursor }), abort);
        first ??= answer.position;
        for (const row of answer.pipelines) seen.add(rowKey(row));
        merge(answer.pipelines);
        cursor = answer.nextCursor;
    } while (cursor !== null);
    for (const key of rows.keys()) if (!seen.has(key)) rows.delete(key);
    shape.value += 1;
    return first ?? 0;
}

// Loads everything, then follows the stream from that position. Gives back the end of it.
export function follow(): () => void {
    const abort = new AbortController();
    let close: (() => void) | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;

    const start = async (): Promise<void> => {
        clearTimeout(timer);
        try {
            const at = await fetchAll(abort.signal);
            if (abort.signal.aborted) return;
            batch(() => {
                position.value = at;
                loaded.value = true;
                failure.value = null;
            });
            close?.();
            close = openStream({
                path: '/api/v1/stream?view=pipelines',
                from: at,
                onEvent: (event, data) => { if (event === 'pipelines') merge(data.pipelines as PipelineRow[]); },
                onRefetch: () => void start(),
            });
        } catch (error) {
            if (abort.signal.aborted) return;
            if (error instanceof ApiError) failure.value = error;
            timer = setTimeout(() => void start(), 3000);
        }
    };
    void start();
    return () => {
        abort.abort();
        clearTimeout(timer);
        close?.();
    };
}
