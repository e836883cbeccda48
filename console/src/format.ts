// Times and lengths as people read them. All functions take `now` or plain numbers, so tests need no clock.
import { language, t } from './i18n.js';

// The two largest units: "3d 4h", "12m 5s", "840ms".
export function duration(ms: number | null | undefined, parts = 2): string {
    if (ms === null || ms === undefined || !Number.isFinite(ms)) return '–';
    const value = Math.max(0, ms);
    if (value < 1000) return value === 0 ? t('unit.s', { n: 0 }) : t('unit.ms', { n: Math.round(value) });
    const seconds = Math.floor(value / 1000);
    const all: ['unit.d' | 'unit.h' | 'unit.m' | 'unit.s', number][] = [
        ['unit.d', Math.floor(seconds / 86400)], ['unit.h', Math.floor(seconds / 3600) % 24],
        ['unit.m', Math.floor(seconds / 60) % 60], ['unit.s', seconds % 60],
    ];
    const first = all.findIndex(([, n]) => n > 0);
    return all.slice(first, first + parts).filter(([, n]) => n > 0).map(([key, n]) => t(key, { n })).join(' ');
}

export function relative(time: number | null, now: number): string {
    if (time === null) return '–';
    const distance = now - time;
    if (distance > -1500 && distance < 1500) return t('common.now');
    const text = duration(Math.max(1000, Math.abs(distance)), 1);
    return t(distance > 0 ? 'common.ago' : 'common.in', { time: text });
}

const locale = () => (language.value === 'ko' ? 'ko-KR' : 'en-GB');

const formats = new Map<string, Intl.DateTimeFormat>();
function format(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    const key = `${locale()}/${name}`;
    let found = formats.get(key);
    if (!found) {
        found = new Intl.DateTimeFormat(locale(), options);
        formats.set(key, found);
    }
    return found;
}

export function clock(time: number | null, withMs = false): string {
    if (time === null) return '–';
    const text = format('clock', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(time);
    return withMs ? `${text}.${String(Math.floor(((time % 1000) + 1000) % 1000)).padStart(3, '0')}` : text;
}

export function dateTime(time: number | null): string {
    if (time === null) return '–';
    return format('dateTime', { year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(time);
}

// For an axis that starts at zero: "0", "30s", "5m".
export function offset(ms: number): string {
    return ms === 0 ? '0' : duration(ms);
}
