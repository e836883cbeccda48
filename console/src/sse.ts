// Server-sent events over fetch. EventSource cannot send an Authorization header, so this reads the stream itself, and keeps
// EventSource's good manners: resume with Last-Event-ID, back off, never two connections at once. `SseParser` is pure.
import { ApiError, request } from './api.js';

export interface SseMessage { event: string; id: string; data: string }

// Feeds on text in any cut, gives whole messages (WHATWG "Server-sent events", section 9.2.6).
export class SseParser {
    private rest = '';
    private event = '';
    private data: string[] = [];
    lastId = '';
    retryMs: number | null = null;

    push(text: string): SseMessage[] {
        const out: SseMessage[] = [];
        this.rest += text;
        // A CR at the very end may be half of CRLF: wait for what follows.
        for (;;) {
            const match = /\r\n|\n|\r(?!$)/.exec(this.rest);
            if (!match) break;
            const line = this.rest.slice(0, match.index);
            this.rest = this.rest.slice(match.index + match[0].length);
            this.line(line, out);
        }
        return out;
    }

    private line(line: string, out: SseMessage[]): void {
        if (line === '') {
            if (this.data.length > 0) out.push({ event: this.event || 'message', id: this.lastId, data: this.data.join('\n') });
            this.event = '';
            this.data = [];
            return;
        }
        const colon = line.indexOf(':');
        if (colon === 0) return;
        const field = colon < 0 ? line : line.slice(0, colon);
        let value = colon < 0 ? '' : line.slice(colon + 1);
        if (value.startsWith(' ')) value = value.slice(1);
        if (field === 'event') this.event = value;
        else if (field === 'data') this.data.push(value);
        else if (field === 'id' && !value.includes('\0')) this.lastId = value;
        else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
    }
}

export interface StreamState {
    phase: 'connecting' | 'live' | 'waiting' | 'closed';
    retryAt: number | null;  // when the next try is due, in ms since the epoch
    failures: number;
}

export interface StreamOptions {
    path: string;
    from: number | null;                       // resume after this position; null starts at what comes next
    onMessage: (message: SseMessage) => void;
    onState: (state: StreamState) => void;
    onRefused: (error: ApiError) => void;      // the server answered, and not with a stream: refetch, then open anew
}

// Half a second, doubled to fifteen, with up to a third off so that many consoles do not return together.
export function backoffMs(failures: number, random: number): number {
    const full = Math.min(15_000, 500 * 2 ** Math.min(failures - 1, 10));
    return Math.round(full * (1 - random / 3));
}

// The server sends a comment every 15 s; three missed ones mean that the line is dead though nobody said so.
const silenceMs = 45_000;

export class SseClient {
    private abort: AbortController | null = null;
    private timer: ReturnType<typeof setTimeout> | undefined;
    private closed = false;
    private failures = 0;
    private lastId: string;

    constructor(private readonly options: StreamOptions) {
        this.lastId = options.from === null ? '' : String(options.from);
    }

    start(): void {
        void this.run();
    }

    close(): void {
        this.closed = true;
        clearTimeout(this.timer);
        this.abort?.abort();
        this.options.onState({ phase: 'closed', retryAt: null, failures: 0 });
    }

    retryNow(): void {
        if (this.closed || this.abort !== null) return;
        clearTimeout(this.timer);
        void this.run();
    }

    private async run(): Promise<void> {
        const abort = new AbortController();
        this.abort = abort;
        let watchdog: ReturnType<typeof setTimeout> | undefined;
        const alive = () => {
            clearTimeout(watchdog);
            watchdog = setTimeout(() => abort.abort(), silenceMs);
        };
        this.options.onState({ phase: 'connecting', retryAt: null, failures: this.failures });
        try {
            alive();
            const headers: Record<string, string> = { Accept: 'text/event-stream' };
            if (this.lastId !== '') headers['Last-Event-ID'] = this.lastId;
            const response = await request(this.options.path, { headers, signal: abort.signal, cache: 'no-store' });
            if (this.closed || !response.body) throw new ApiError(0, 'unavailable', 'no stream');
            const reader = response.body.getReader();
            const decoder = new TextDecoder();
            const parser = new SseParser();
            parser.lastId = this.lastId;
            this.options.onState({ phase: 'live', retryAt: null, failures: 0 });
            for (;;) {
                const { done, value } = await reader.read();
                if (done) break;
                alive();
                this.failures = 0;
                for (const message of parser.push(decoder.decode(value, { stream: true }))) {
                    this.lastId = message.id;
                    if (!this.closed) this.options.onMessage(message);
                }
            }
        } catch (error) {
            if (!this.closed && error instanceof ApiError && error.status >= 400 && error.status < 500) this.options.onRefused(error);
        } finally {
            clearTimeout(watchdog);
            this.abort = null;
        }
        if (this.closed) return;
        this.failures += 1;
        const wait = backoffMs(this.failures, Math.random());
        this.options.onState({ phase: 'waiting', retryAt: Date.now() + wait, failures: this.failures });
        this.timer = setTimeout(() => void this.run(), wait);
    }
}
