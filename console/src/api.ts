// What the server answers, typed, and the one door to it. Every request of the console goes through `request`: it adds the
// token, notices 401, and turns the server's error object into an ApiError. It never retries; callers decide that.
import { signal } from '@preact/signals';

export type Status = 'InProgress' | 'Succeeded' | 'Failed' | 'Stopping' | 'Stopped' | 'Superseded' | 'Cancelled' | 'Abandoned';
export type Time = string | null;

export interface StageCell { stageName: string; status: Status | null; attempt: number }

export interface PipelineRow {
    pipeline: string; account: string; region: string; status: Status | null; executionId: string | null; attempt: number;
    startTime: Time; lastUpdateTime: Time; executions: number; openIncident: string | null; gaps: number; stages: StageCell[];
}

export interface ExecutionRow {
    pipeline: string; executionId: string; account: string; region: string; status: Status; attempt: number;
    startTime: Time; lastUpdateTime: Time; endTime: Time; durationMs: number | null;
    trigger: unknown; commit: unknown; author: unknown; gaps: number; stages: StageCell[];
}

export interface Action {
    actionName: string; actionExecutionId: string | null; status: Status | null; attempt: number;
    startTime: Time; lastUpdateTime: Time; endTime: Time; durationMs: number | null;
    category: string | null; owner: string | null; provider: string | null; region: string | null;
    externalExecutionId: string | null; externalExecutionUrl: string | null; externalExecutionSummary: string | null; errorCode: string | null;
}

export interface Stage {
    stageName: string; status: Status | null; attempt: number; startTime: Time; lastUpdateTime: Time; endTime: Time;
    durationMs: number | null; lastRetryTime: Time; actions: Action[];
}

export interface Gap {
    scope: 'pipeline' | 'stage' | 'action'; stageName: string | null; actionName: string | null; actionExecutionId: string | null;
    attempt: number; kind: string; text: string;
}

export interface Execution {
    pipeline: string; executionId: string; account: string; region: string; status: Status; attempt: number;
    pipelineVersion: string | null; startTime: Time; lastUpdateTime: Time; endTime: Time; durationMs: number | null;
    lastRetryTime: Time; stopReason: string | null;
    trigger: { type: string | null; detail: string | null } | null;
    commit: { id: string | null; message: string | null; url: string | null; repository: string | null; branch: string | null; tag: string | null } | null;
    author: { name: string | null; email: string | null; id: string | null } | null;
    stages: Stage[]; gaps: Gap[];
}

export type Outcome = 'accepted' | 'late' | 'duplicate';

export interface ExecutionEvent {
    position: number; eventId: string; receivedTime: Time; time: Time; scope: 'pipeline' | 'stage' | 'action';
    stageName: string | null; actionName: string | null; actionExecutionId: string | null; state: string; attempt: number;
    arrival: number; order: number; outcome: Outcome; text: string | null;
}

export interface Decision {
    position: number; time: Time;
    event: { position: number; eventId: string; scope: string; stageName: string | null; actionName: string | null; state: string; attempt: number } | null;
    outcome: Outcome | null; policy: string | null; policyVersion: string | number | null; verdict: 'planned' | 'nothing' | 'cancelled';
    reason: string | null; text: string | null; deliveries: string[];
}

export interface Receipt { subject: { type: string; id: string }; decisions: Decision[] }

export interface Incident {
    incidentId: string; pipeline: string; account: string; region: string; status: 'open' | 'resolved';
    openedTime: Time; resolvedTime: Time; resolvedBy: string | null;
    executions: { executionId: string; failedTime: Time; attempt: number }[];
    firstExecutionId: string | null; lastExecutionId: string | null;
    cause?: { stageName: string | null; actionName: string | null; errorCode: string | null; summary: string | null; url: string | null } | null;
    deliveries?: (Delivery | string)[];
}

export type DeliveryStatus = 'pending' | 'held' | 'in_flight' | 'delivered' | 'dead' | 'cancelled';

export interface Delivery {
    deliveryId: string; kind: 'notify' | 'retry' | 'target'; topic: string; target: string; urgent: boolean; status: DeliveryStatus; key: string;
    plannedTime: Time; nextAttemptTime: Time; finishedTime: Time; attempts: number; possiblyTwice: boolean;
    lastError: { code: string | null; text: string | null } | null; reason: string | null; pipeline: string; account: string; region: string; executionId: string;
    stageName: string | null; attempt: number; subject: string | null;
    history?: { time: Time; outcome: 'ok' | 'retry' | 'dead' | 'unknown'; code: string | null; text: string | null }[];
    message?: { subject: string | null; body: string | null } | null;
}

export interface LoggedEvent { position: number; receivedTime: Time; duplicate: boolean; event: Record<string, unknown> }

export interface SearchResult {
    type: 'execution' | 'pipeline' | 'incident'; pipeline: string; account: string; region: string; executionId: string | null; incidentId: string | null;
    status: string | null; startTime: Time; snippet: string | null;
}

export interface RuleTarget {
    id: string; arn: string; kind: string; served: boolean; servedBy: string | null; unservedReason: string | null;
    deadLetter: { arn: string; served: boolean; servedBy: string | null; unservedReason: string | null } | null;
}

export interface Rule {
    account: string; region: string; bus: string; name: string; arn: string; state: string; description: string | null;
    pattern: Record<string, unknown> | null; schedule: string | null; nextTime: Time; createdTime: Time; targets: RuleTarget[];
}

export interface EventBus {
    account: string; region: string; name: string; arn: string; description: string | null; policy: Record<string, unknown> | null;
    rules: number; archives: number; createdTime: Time;
}

export interface Explanation {
    matched: boolean; combinations: number;
    nearest: {
        matched: boolean;
        clauses: { path: string; wanted: unknown[]; found: unknown[]; foundCount: number; outcome: 'matched' | 'absent' | 'differs' | 'present' | 'other_element' }[];
    }[];
}

export interface Health {
    status: 'ok' | 'degraded'; position: number; durablePosition: number; acceptingEvents: boolean;
    history: { position: number; lagMs: number }; eventsAccepted: number; liveExecutions: number; pendingDeliveries: number;
    deadDeliveries: number; openIncidents: number; uptimeMs: number; version: string; mailDirectory?: string | null;
}

export class ApiError extends Error {
    constructor(readonly status: number, readonly kind: string, message: string) {
        super(message);
    }
}

const tokenKey = 'waybill.token';

function storedToken(): string | null {
    try {
        return sessionStorage.getItem(tokenKey);
    } catch {
        return null;
    }
}

// The token lives for the tab only. `tokenWanted` turns true when the server refuses us, and shows the form.
export const token = signal<string | null>(storedToken());
export const tokenWanted = signal(false);

export function useToken(value: string | null): void {
    token.value = value;
    tokenWanted.value = false;
    try {
        if (value === null) sessionStorage.removeItem(tokenKey);
        else sessionStorage.setItem(tokenKey, value);
    } catch {
        /* kept in memory for this page */
    }
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (token.value !== null) headers.set('Authorization', `Bearer ${token.value}`);
    if (!headers.has('Accept')) headers.set('Accept', 'application/json');
    let response: Response;
    try {
        response = await fetch(path, { ...init, headers, credentials: 'same-origin' });
    } catch (error) {
        if (error instanceof DOMException && error.name === 'AbortError') throw error;
        throw new ApiError(0, 'unavailable', 'The server does not answer.');
    }
    if (response.ok) return response;
    if (response.status === 401) tokenWanted.value = true;
    let kind = 'unavailable';
    let message = `${response.status} ${response.statusText}`;
    try {
        const body = (await response.json()) as { error?: { kind?: string; message?: string } };
        kind = body.error?.kind ?? kind;
        message = body.error?.message ?? message;
    } catch {
        /* a proxy answered, not the server: the status line is all there is */
    }
    throw new ApiError(response.status, kind, message);
}

export async function get<T>(path: string, abort?: AbortSignal): Promise<T> {
    const response = await request(path, abort ? { signal: abort } : {});
    return (await response.json()) as T;
}

// `asIs`: the body is JSON text already.
export async function post<T>(path: string, body?: unknown, asIs = false): Promise<T | null> {
    const init: RequestInit = { method: 'POST' };
    if (body !== undefined) {
        init.body = asIs ? String(body) : JSON.stringify(body);
        init.headers = { 'Content-Type': 'application/json' };
    }
    const response = await request(path, init);
    const text = await response.text();
    return text === '' ? null : (JSON.parse(text) as T);
}

// Path and query with every part escaped; undefined, null and '' are left out.
export function url(path: string, query: Record<string, string | number | boolean | null | undefined> = {}): string {
    const parts = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
        if (value !== undefined && value !== null && value !== '') parts.set(key, String(value));
    }
    const text = parts.toString();
    return text === '' ? path : `${path}?${text}`;
}

export const api = {
    execution: (id: string) => `/api/v1/executions/${encodeURIComponent(id)}`,
    incident: (id: string) => `/api/v1/incidents/${encodeURIComponent(id)}`,
    delivery: (id: string) => `/api/v1/deliveries/${encodeURIComponent(id)}`,
    pipelineExecutions: (name: string) => `/api/v1/pipelines/${encodeURIComponent(name)}/executions`,
};
