// What the pages compute, without a browser: order of attention, what a filter lets through, groups of attempts, spans of the
// timeline, the links between arrival and truth. Pure functions; test/logic.test.ts holds them.
import type { Action, Execution, ExecutionEvent, PipelineRow, Stage, Status } from './api.js';

// Account and region belong to a pipeline's identity: two accounts may both have a "deploy".
export const rowKey = (row: { account: string; region: string; pipeline: string }) => `${row.account}/${row.region}/${row.pipeline}`;

// What a list shows of a pipeline where there is no doubt: its name and region.
export const samePlace = (row: { region: string; pipeline: string }) => `${row.region}/${row.pipeline}`;

// The names and regions that several accounts have: there the account must be shown, too.
export function shared(rows: Iterable<{ region: string; pipeline: string }>): Set<string> {
    const once = new Set<string>();
    const twice = new Set<string>();
    for (const row of rows) (once.has(samePlace(row)) ? twice : once).add(samePlace(row));
    return twice;
}

export type Group = 'failing' | 'running' | 'ok' | 'other';

export function groupOf(status: Status | null): Group {
    switch (status) {
        case 'Failed': return 'failing';
        case 'InProgress':
        case 'Stopping': return 'running';
        case 'Succeeded': return 'ok';
        default: return 'other';
    }
}

// Smaller comes first. A pipeline that runs again after a failure still has its incident open, and stays near the top.
export function attentionRank(row: PipelineRow): number {
    if (row.status === 'Failed') return 0;
    if (row.openIncident !== null) return 1;
    switch (row.status) {
        case 'Stopping': return 2;
        case 'InProgress': return row.gaps > 0 ? 3 : 4;
        case 'Abandoned': return 5;
        case 'Stopped': return 6;
        case 'Cancelled':
        case 'Superseded': return 7;
        default: return row.gaps > 0 ? 8 : 9;
    }
}

// Equal ranks: newest start first, which does not move while an execution goes on; then name.
export function byAttention(a: PipelineRow, b: PipelineRow): number {
    const rank = attentionRank(a) - attentionRank(b);
    if (rank !== 0) return rank;
    const left = a.startTime ?? '';
    const right = b.startTime ?? '';
    return left > right ? -1 : left < right ? 1 : byName(a, b);
}

export function byName(a: PipelineRow, b: PipelineRow): number {
    if (a.pipeline !== b.pipeline) return a.pipeline < b.pipeline ? -1 : 1;
    const left = rowKey(a);
    const right = rowKey(b);
    return left < right ? -1 : left > right ? 1 : 0;
}

// Every word must be found, in the name, the account, the region, the execution id or a stage's name.
export function passes(row: PipelineRow, words: readonly string[], group: Group | null): boolean {
    if (group !== null && groupOf(row.status) !== group) return false;
    return words.every((word) =>
        row.pipeline.toLowerCase().includes(word) || row.account.includes(word) || row.region.includes(word) ||
        (row.executionId ?? '').startsWith(word) || row.stages.some((s) => s.stageName.toLowerCase().includes(word)));
}

export const wordsOf = (text: string) => text.toLowerCase().split(/\s+/).filter(Boolean);

export function shortId(id: string | null | undefined): string {
    if (!id) return '';
    return /^[0-9a-f]{8}-/.test(id) ? id.slice(0, 8) : id.length > 14 ? `${id.slice(0, 12)}…` : id;
}

export const millis = (time: string | null | undefined): number | null => {
    if (!time) return null;
    const value = Date.parse(time);
    return Number.isNaN(value) ? null : value;
};

// Attempts of one action of one stage, newest first. The first is what the stage shows; the others lie behind it.
export interface ActionGroup { actionName: string; attempts: Action[] }

export function groupActions(stage: Stage): ActionGroup[] {
    const groups = new Map<string, Action[]>();
    for (const action of stage.actions) {
        const list = groups.get(action.actionName);
        if (list) list.push(action);
        else groups.set(action.actionName, [action]);
    }
    const result = [...groups].map(([actionName, attempts]) => ({
        actionName,
        attempts: attempts.slice().sort((a, b) => b.attempt - a.attempt || ((a.startTime ?? '') > (b.startTime ?? '') ? -1 : 1)),
    }));
    const first = (g: ActionGroup) => g.attempts[g.attempts.length - 1]?.startTime ?? '\uffff';
    return result.sort((a, b) => (first(a) < first(b) ? -1 : first(a) > first(b) ? 1 : a.actionName < b.actionName ? -1 : 1));
}

export interface Span { start: number; end: number; status: Status | null; attempt: number; openStart: boolean; openEnd: boolean; action: Action | null }
export interface Lane { label: string; kind: 'stage' | 'action'; stageName: string; spans: Span[] }

function span(from: { startTime: string | null; endTime: string | null; lastUpdateTime: string | null; status: Status | null; attempt: number },
              now: number, floor: number, action: Action | null): Span | null {
    const start = millis(from.startTime);
    const running = from.status === 'InProgress' || from.status === 'Stopping';
    const end = millis(from.endTime) ?? (running ? now : millis(from.lastUpdateTime));
    if (start === null && end === null) return null;
    return {
        start: start ?? Math.min(floor, end ?? floor), end: Math.max(end ?? now, start ?? floor), status: from.status, attempt: from.attempt,
        openStart: start === null, openEnd: running, action,
    };
}

// One lane per stage and one per action name; each attempt is a span in its action's lane.
export function lanes(execution: Execution, now: number): { lanes: Lane[]; start: number; end: number } {
    const times: number[] = [];
    const note = (...all: (string | null)[]) => all.forEach((t) => { const m = millis(t); if (m !== null) times.push(m); });
    note(execution.startTime, execution.endTime, execution.lastUpdateTime);
    for (const s of execution.stages) {
        note(s.startTime, s.endTime);
        for (const a of s.actions) note(a.startTime, a.endTime);
    }
    const start = times.length ? Math.min(...times) : now;
    let end = times.length ? Math.max(...times) : now;
    if (execution.status === 'InProgress' || execution.status === 'Stopping') end = Math.max(end, now);
    const result: Lane[] = [];
    for (const stage of execution.stages) {
        const whole = span(stage, now, start, null);
        result.push({ label: stage.stageName, kind: 'stage', stageName: stage.stageName, spans: whole ? [whole] : [] });
        for (const group of groupActions(stage)) {
            const spans = group.attempts.map((a) => span(a, now, start, a)).filter((s): s is Span => s !== null).reverse();
            result.push({ label: group.actionName, kind: 'action', stageName: stage.stageName, spans });
        }
    }
    return { lanes: result, start, end: Math.max(end, start + 1000) };
}

// Round distances for an axis of time: the smallest that gives at most `most` marks.
const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];

export function ticks(start: number, end: number, most: number): number[] {
    const span = Math.max(1, (end - start) / 1000);
    const step = (steps.find((s) => span / s <= most) ?? 604800 * Math.ceil(span / 604800 / most)) * 1000;
    const out: number[] = [];
    for (let at = 0; at <= end - start; at += step) out.push(at);
    return out;
}

// The link of one event between its two places. It is level when both agree among the events that are not copies.
export interface Link { event: ExecutionEvent; from: number; to: number; crosses: boolean }

export function links(events: readonly ExecutionEvent[], sort: 'arrival' | 'order'): Link[] {
    const other = sort === 'arrival' ? 'order' : 'arrival';
    const rows = events.slice().sort((a, b) => a[sort] - b[sort] || a.position - b.position);
    const places = events.slice().sort((a, b) => a[other] - b[other] || a.position - b.position);
    const place = new Map(places.map((e, i) => [e.position, i]));
    return rows.map((event, i) => {
        const to = place.get(event.position) ?? i;
        return { event, from: i, to, crosses: to !== i };
    });
}

// The action to look at first when an execution failed: the newest attempt of the first stage that failed.
export function failingAction(execution: Execution): { stage: Stage; action: Action } | null {
    for (const stage of execution.stages) {
        if (stage.status !== 'Failed') continue;
        for (const group of groupActions(stage)) {
            const newest = group.attempts[0];
            if (newest?.status === 'Failed') return { stage, action: newest };
        }
    }
    return null;
}

// Which rows of a tall list are on the screen, with some to spare on both sides.
export function visibleRange(scrollTop: number, viewport: number, listTop: number, rowHeight: number, count: number, spare: number): [number, number] {
    const first = Math.floor((scrollTop - listTop) / rowHeight) - spare;
    const last = Math.ceil((scrollTop + viewport - listTop) / rowHeight) + spare;
    const from = Math.max(0, Math.min(first, count));
    return [from, Math.max(from, Math.min(count, last))];
}

// Trigger, commit and author come as text in lists and as objects on the page of one execution.
export function brief(value: unknown): string {
    if (typeof value === 'string') return value;
    if (value && typeof value === 'object') {
        const v = value as Record<string, unknown>;
        for (const key of ['message', 'detail', 'name', 'id', 'type', 'email']) {
            if (typeof v[key] === 'string' && v[key] !== '') return (v[key] as string).split('\n')[0]!;
        }
    }
    return '';
}

export function commitId(value: unknown): string {
    const id = typeof value === 'string' ? value : value && typeof value === 'object' ? (value as { id?: unknown }).id : null;
    return typeof id === 'string' && /^[0-9a-f]{12,64}$/.test(id) ? id.slice(0, 7) : '';
}

// Only web addresses become links: what an event carries is not to be trusted with `javascript:`.
export function safeUrl(text: string | null | undefined): string | null {
    return text && /^https?:\/\//i.test(text) ? text : null;
}
