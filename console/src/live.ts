// The console's connection to what happens now. One stream at a time (browsers allow six connections to a host): the overview asks
// for changed pipeline rows, every other page for transitions. Health is polled every two seconds while the tab is visible; it feeds
// the summary and shows at once when a server is gone, even where no stream is open.
import { signal } from '@preact/signals';
import { get, token, type Health } from './api.js';
import { SseClient, type SseMessage, type StreamState } from './sse.js';

export const connection = signal<StreamState>({ phase: 'closed', retryAt: null, failures: 0 });
export const position = signal<number | null>(null);
export const health = signal<Health | null>(null);
export const rate = signal<number[]>([]);        // events per second, one value a poll, newest last
export const now = signal(Date.now());           // ticks once a second; read it only where text depends on it

export type Handler = (event: string, data: Record<string, unknown>) => void;

let client: SseClient | null = null;

export interface OpenOptions {
    path: string;
    from: number | null;
    onEvent: Handler;
    onRefetch: () => void;   // what is shown may have holes: load it anew
}

// Opens the page's stream and gives back its end. Opening another ends the one before.
export function openStream(options: OpenOptions): () => void {
    client?.close();
    client = null;
    let seen = options.from ?? 0;
    const mine = new SseClient({
        path: options.path,
        from: options.from,
        onState: (state) => {
            if (client !== mine) return;
            connection.value = state;
        },
        onRefused: () => options.onRefetch(),
        onMessage: (message: SseMessage) => {
            let data: Record<string, unknown>;
            try {
                data = JSON.parse(message.data) as Record<string, unknown>;
            } catch {
                return;
            }
            const at = Number(data.position ?? message.id);
            if (message.event === 'hello') {
                // A stream without a starting place begins now: what came between loading and now is fetched. One with a place goes
                // on where it stopped; but a server whose position is behind ours is another one, and all is loaded anew.
                if (at < seen || options.from === null) options.onRefetch();
                if (at < seen) seen = at;
                if (position.value === null || at > position.value) position.value = at;
                return;
            }
            if (Number.isFinite(at)) {
                seen = Math.max(seen, at);
                position.value = at;
            }
            options.onEvent(message.event, data);
        },
    });
    client = mine;
    mine.start();
    return () => {
        mine.close();
        if (client === mine) client = null;
    };
}

export function reconnect(): void {
    client?.retryNow();
    void poll();
}

let lastAccepted: { at: number; count: number } | null = null;
let away = false;

async function poll(): Promise<void> {
    try {
        const value = await get<Health>('/api/v1/health');
        const at = performance.now();
        if (lastAccepted && value.eventsAccepted >= lastAccepted.count && at > lastAccepted.at + 200) {
            const perSecond = ((value.eventsAccepted - lastAccepted.count) * 1000) / (at - lastAccepted.at);
            rate.value = [...rate.value.slice(-59), perSecond];
        }
        lastAccepted = { at, count: value.eventsAccepted };
        health.value = value;
        // With a stream, lost or not, the position is the one on the screen.
        if (connection.value.phase === 'closed') position.value = value.position;
        // A server that is back is worth a try at once; one that only refuses streams keeps its backoff.
        if (away) client?.retryNow();
        away = false;
    } catch {
        away = true;
    }
}

export function startLive(): void {
    setInterval(() => { now.value = Date.now(); }, 1000);
    setInterval(() => { if (!document.hidden) void poll(); }, 2000);
    document.addEventListener('visibilitychange', () => { if (!document.hidden) { now.value = Date.now(); reconnect(); } });
    window.addEventListener('online', reconnect);
    token.subscribe(() => void poll());
}
