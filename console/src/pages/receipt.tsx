// Receipts: for each decision what it was about, what was done, and which line of which policy says so.
import { useState } from 'preact/hooks';
import type { Decision, Delivery, Receipt } from '../api.js';
import { clock } from '../format.js';
import { t } from '../i18n.js';
import { millis } from '../logic.js';
import { link } from '../router.js';
import { Choice, Empty, Failure, Icon, outcomeKey, Skeleton, type Query } from '../ui.js';
import { DeliveryState } from './deliveries.js';

export function Decisions({ receipt, deliveries }: { receipt: Query<Receipt>; deliveries: Delivery[] }) {
    const [only, set] = useState<'all' | 'acted'>('all');
    if (receipt.error && !receipt.data) return <Failure error={receipt.error} retry={receipt.reload} />;
    if (!receipt.data) return <Skeleton lines={5} />;
    const all = receipt.data.decisions;
    if (all.length === 0) return <Empty icon="clock" title={t('why.none')} hint={t('why.none.hint')} />;
    const shown = only === 'all' ? all : all.filter((d) => d.verdict !== 'nothing');
    return (
        <div>
            {all.some((d) => d.verdict === 'nothing') && all.some((d) => d.verdict !== 'nothing') && (
                <div class="toolbar flat"><Choice label={t('why.filter')} value={only} options={[['all', t('why.all')], ['acted', t('why.acted')]]} onChange={set} /></div>
            )}
            <ol class="decisions">{shown.map((d, i) => <Line key={`${d.position}/${d.policy}/${i}`} decision={d} deliveries={deliveries} />)}</ol>
        </div>
    );
}

function Line({ decision: d, deliveries }: { decision: Decision; deliveries: Delivery[] }) {
    const icon = d.verdict === 'planned' ? 'check' : d.verdict === 'cancelled' ? 'cross' : 'minus';
    return (
        <li class={`decision ${d.verdict}`}>
            <span class="decision-mark"><Icon name={icon} /></span>
            <div class="decision-body">
                <p class="decision-head">
                    <strong>{t(`why.verdict.${d.verdict}`)}</strong>
                    {d.event && <span class="decision-event">{subject(d.event)} <code>{d.event.state}</code>{d.event.attempt > 1 && <span class="dim"> {t('execution.attempt.n', { n: d.event.attempt })}</span>}</span>}
                    {d.outcome && d.outcome !== 'accepted' && <span class={`mark ${d.outcome}`}><Icon name={d.outcome} />{t(outcomeKey(d.outcome))}</span>}
                    <span class="decision-time num" title={d.time ?? ''}>{clock(millis(d.time), true)}</span>
                </p>
                {d.text && <p class="decision-text">{withLinks(d.text)}</p>}
                {d.deliveries.length > 0 && (
                    <ul class="chips">
                        {d.deliveries.map((id) => {
                            const known = deliveries.find((x) => x.deliveryId === id);
                            return <li key={id}><a class="chip" href={link.delivery(id)}>{known && <DeliveryState status={known.status} />}<span>{known ? known.target : id}</span></a></li>;
                        })}
                    </ul>
                )}
                <p class="decision-why">
                    {d.policy && <span title={t('why.policy')}><code>{d.policy}</code>{d.policyVersion !== null && <span class="dim"> {t('why.version', { v: String(d.policyVersion) })}</span>}</span>}
                    {d.reason && <span class="dim">{d.reason}</span>}
                    <a class="dim num" href={link.event(d.event?.position ?? d.position)}>#{d.position}</a>
                </p>
            </div>
        </li>
    );
}

// Incidents and deliveries that a sentence names become links.
function withLinks(text: string) {
    return text.split(/\b(inc-[0-9a-z]{4,}|d-[0-9a-z]{6,})\b/).map((part, i) =>
        i % 2 === 0 ? part : <a key={i} class="inline mono" href={part.startsWith('inc-') ? link.incident(part) : link.delivery(part)}>{part}</a>);
}

export function subject(event: { scope: string; stageName: string | null; actionName: string | null }): string {
    if (event.scope === 'action') return `${event.stageName ?? '?'} › ${event.actionName ?? '?'}`;
    if (event.scope === 'stage') return event.stageName ?? '?';
    return t('events.scope.pipeline');
}
