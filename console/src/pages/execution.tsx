// One execution, whole: its state, its graph, its time, every event with its two places, and what was done about it and why.
import { useEffect, useState } from 'preact/hooks';
import { api, url, type Delivery, type Execution, type ExecutionEvent, type Receipt, type Stage } from '../api.js';
import { clock, dateTime, duration, offset } from '../format.js';
import { t, tn } from '../i18n.js';
import { now, openStream } from '../live.js';
import { failingAction, groupActions, lanes, links, millis, shortId, ticks, type ActionGroup, type Span } from '../logic.js';
import { link, location, setQuery } from '../router.js';
import { Ago, At, Choice, Copy, Empty, Facts, Failure, Icon, Json, Length, outcomeKey, Outside, PageHead, Section, Skeleton, StatusIcon, statusName, StatusPill, Tabs, useQuery, useThrottled, useTitle, type Query } from '../ui.js';
import { stateClass } from './events.js';
import { Decisions, subject } from './receipt.js';

const active = (status: string | null) => status === 'InProgress' || status === 'Stopping';

export function ExecutionPage({ id }: { id: string }) {
    const base = api.execution(id);
    const page = useQuery<Execution>(base);
    const wanted = location.value.query.get('tab');
    const tab = wanted === 'why' || wanted === 'json' ? wanted : 'events';
    const events = useQuery<{ events: ExecutionEvent[] }>(url(`${base}/events`, { limit: 1000 }));
    const receipt = useQuery<Receipt>(`${base}/receipt`);
    const e = page.data;
    const deliveries = useQuery<{ deliveries: Delivery[] }>(e ? url('/api/v1/deliveries', { executionId: e.executionId, limit: 200 }) : null);
    useTitle(e?.pipeline, e ? statusName(e.status) : null, shortId(id));

    const soon = useThrottled(() => { page.reload(); events.reload(); receipt.reload(); deliveries.reload(); }, 250);
    useEffect(() => openStream({
        path: url('/api/v1/stream', { executionId: id }), from: null, onRefetch: soon,
        onEvent: (_event, data) => { if (data.executionId === id) soon(); },
    }), [id]);

    if (page.error && !e) return <div class="page"><Failure error={page.error} retry={page.reload} /></div>;
    if (!e) return <div class="page"><Skeleton lines={4} tall /><Skeleton lines={8} /></div>;
    const failing = e.status === 'Failed' ? failingAction(e) : null;
    const troubled = events.data?.events.filter((x) => x.outcome !== 'accepted').length ?? 0;
    const summary = events.data ? summaryOf(events.data.events) : '';
    return (
        <div class="page">
            <PageHead kind={t('execution.kind')} title={e.pipeline} back={{ href: '/', text: t('nav.overview') }} aside={<StatusPill status={e.status} />}>
                <p class="sub">
                    <span class="mono">{e.executionId}</span><Copy text={e.executionId} />
                    {e.attempt > 1 && <span class="tag"><Icon name="again" />{t('execution.attempt.n', { n: e.attempt })}</span>}
                    <a href={link.pipeline(e)}>{t('pipeline.all')}</a>
                </p>
            </PageHead>
            {failing && (
                <div class="callout bad">
                    <Icon name="incident" />
                    <div>
                        <p class="callout-title">{t('execution.failed', { action: failing.action.actionName, stage: failing.stage.stageName })}</p>
                        <p>{failing.action.errorCode && <code>{failing.action.errorCode}</code>} {failing.action.externalExecutionSummary}</p>
                        {failing.action.externalExecutionUrl && <p><Outside href={failing.action.externalExecutionUrl}>{t('execution.open', { provider: failing.action.provider ?? 'AWS' })}</Outside></p>}
                    </div>
                </div>
            )}
            {e.stopReason && <div class="callout warn"><Icon name="held" /><div><p class="callout-title">{t('execution.stopReason')}</p><p>{e.stopReason}</p></div></div>}
            {e.gaps.length > 0 && (
                <details class="callout warn" open>
                    <summary><Icon name="gap" /><span class="callout-title">{t('execution.gaps')} ({e.gaps.length})</span></summary>
                    <p class="dim">{t('execution.gaps.hint')}</p>
                    <ul class="gap-list">{e.gaps.map((g, i) => <li key={i}><code>{g.kind}</code> {g.text}</li>)}</ul>
                </details>
            )}
            <Head execution={e} />
            <Section id="graph" title={t('execution.graph')}><Graph execution={e} /></Section>
            {e.stages.length > 0 && <Section id="timeline" title={t('execution.timeline')}><Timeline execution={e} /></Section>}
            <Tabs label={t('execution.sections')} value={tab} href={(v) => link.execution(id, v === 'events' ? undefined : v)} options={[
                ['events', <>{t('execution.tab.events')}{events.data && <span class="count quiet">{events.data.events.length}</span>}{troubled > 0 && <span class="count warn" title={summary}>{troubled}<span class="sr"> ({summary})</span></span>}</>],
                ['why', <>{t('execution.tab.why')}{receipt.data && <span class="count quiet">{receipt.data.decisions.length}</span>}</>],
                ['json', t('execution.tab.json')],
            ]} />
            {tab === 'events' && <Events query={events} />}
            {tab === 'why' && <Decisions receipt={receipt} deliveries={deliveries.data?.deliveries ?? []} />}
            {tab === 'json' && <><p class="drawer-tools"><Copy text={JSON.stringify(e, null, 2)} label={t('events.copy')} /><a class="button small" href={base} target="_blank" rel="noreferrer">{base}<Icon name="external" /></a></p><Json value={e} label={t('execution.tab.json')} /></>}
        </div>
    );
}

function Head({ execution: e }: { execution: Execution }) {
    const commit = e.commit;
    return (
        <Facts rows={[
            [t('execution.commit'), commit && (commit.id || commit.message || commit.branch || commit.tag) ? (
                <span class="commit">
                    <Icon name="commit" />
                    {commit.id && <Outside href={commit.url}><span class="mono">{commit.id.slice(0, 7)}</span></Outside>}
                    {(commit.branch || commit.tag) && <span class="tag">{commit.tag ?? commit.branch}</span>}
                    {commit.message && <span class="commit-text">{commit.message.split('\n')[0]}</span>}
                </span>
            ) : null],
            [t('execution.author'), e.author ? e.author.name ?? e.author.email ?? e.author.id : null],
            [t('execution.trigger'), e.trigger ? <span title={e.trigger.detail ?? ''}>{e.trigger.type ?? e.trigger.detail}</span> : null],
            [t('execution.started'), <At time={e.startTime} />],
            [t('execution.duration'), <Length ms={e.durationMs} since={e.startTime} running={active(e.status)} />],
            [t('execution.updated'), <Ago time={e.lastUpdateTime} />],
            [t('execution.retried'), e.lastRetryTime ? <At time={e.lastRetryTime} /> : null],
            [t('execution.attempt'), <span class="num">{e.attempt}</span>],
            [t('execution.version'), e.pipelineVersion ? <span class="num">{e.pipelineVersion}</span> : null],
            [t('execution.account'), <span class="mono">{e.account}</span>],
            [t('execution.region'), e.region],
        ]} />
    );
}

// ---------------------------------------------------------------- graph

function Graph({ execution }: { execution: Execution }) {
    if (execution.stages.length === 0) return <p class="dim pad panel">{t('execution.graph.empty')}</p>;
    return (
        <div class="panel scroll-x" tabIndex={0} role="region" aria-label={t('execution.graph')}>
            <ol class="graph">{execution.stages.map((s) => <StageCard key={s.stageName} stage={s} />)}</ol>
        </div>
    );
}

function StageCard({ stage }: { stage: Stage }) {
    return (
        <li class={`stage-card s-${stage.status ?? 'none'}`} data-stage-card={stage.stageName}>
            <div class="stage-head">
                <StatusIcon status={stage.status} />
                <span class="stage-name">{stage.stageName}</span>
                {stage.attempt > 1 && <span class="tries">×{stage.attempt}</span>}
                <span class="stage-time dim"><Length ms={stage.durationMs} since={stage.startTime} running={active(stage.status)} /></span>
            </div>
            <ul class="actions">{groupActions(stage).map((g) => <ActionCard key={g.actionName} group={g} />)}</ul>
        </li>
    );
}

function ActionCard({ group }: { group: ActionGroup }) {
    const a = group.attempts[0]!;
    const earlier = group.attempts.slice(1);
    return (
        <li class={`action${earlier.length > 0 ? ' stacked' : ''}${earlier.length > 1 ? ' deep' : ''}`}>
            <div class="action-card">
                <p class="action-head"><StatusIcon status={a.status} /><span class="action-name">{group.actionName}</span><span class="dim action-time"><Length ms={a.durationMs} since={a.startTime} running={active(a.status)} /></span></p>
                <p class="action-sub dim"><Outside href={a.externalExecutionUrl}>{a.provider ?? a.category ?? ''}</Outside></p>
                {a.status === 'Failed' && (a.errorCode || a.externalExecutionSummary) && <p class="action-error" title={a.externalExecutionSummary ?? ''}>{a.errorCode ?? a.externalExecutionSummary}</p>}
                {earlier.length > 0 && (
                    <p class="action-tries" title={tn('execution.earlier', earlier.length)}>
                        {group.attempts.slice().reverse().map((x) => <span key={x.actionExecutionId ?? x.attempt} class={`try s-${x.status ?? 'none'}`}><StatusIcon status={x.status} /><span class="num">{x.attempt}</span></span>)}
                        <span class="sr">{tn('execution.earlier', earlier.length)}</span>
                    </p>
                )}
            </div>
        </li>
    );
}

// ---------------------------------------------------------------- timeline

function Timeline({ execution }: { execution: Execution }) {
    const running = active(execution.status);
    const { lanes: rows, start, end } = lanes(execution, running ? now.value : millis(execution.lastUpdateTime) ?? 0);
    const whole = end - start;
    const percent = (at: number) => `${Math.min(100, Math.max(0, (100 * (at - start)) / whole)).toFixed(3)}%`;
    const marks = ticks(start, end, 8);
    return (
        <div class="panel timeline" role="table" aria-label={t('execution.timeline')}>
            <div class="axis" aria-hidden="true"><span class="lane-label" /><div class="track">{marks.map((m) => <span key={m} class="tick num" style={{ left: percent(start + m) }}>{offset(m)}</span>)}</div></div>
            <div class="lanes">
                <div class="grid-lines" aria-hidden="true">{marks.map((m) => <i key={m} style={{ left: percent(start + m) }} />)}</div>
                {rows.map((lane, i) => (
                    <div key={i} class={`lane ${lane.kind}`} role="row">
                        <span class="lane-label" role="rowheader" title={lane.label}>{lane.label}</span>
                        <div class="track" role="cell">
                            {lane.spans.map((s, k) => <Bar key={k} span={s} left={percent(s.start)} width={`${((100 * Math.max(0, s.end - s.start)) / whole).toFixed(3)}%`} many={lane.spans.length > 1} kind={lane.kind} />)}
                        </div>
                    </div>
                ))}
            </div>
        </div>
    );
}

function Bar({ span, left, width, many, kind }: { span: Span; left: string; width: string; many: boolean; kind: 'stage' | 'action' }) {
    const said = `${statusName(span.status)}${many || span.attempt > 1 ? `, ${t('execution.attempt.n', { n: span.attempt })}` : ''} · ${duration(span.end - span.start)} · ${dateTime(span.start)}`;
    return (
        <span class={`gantt s-${span.status ?? 'none'}${span.openStart ? ' open-start' : ''}${span.openEnd ? ' open-end' : ''} ${kind}`} style={{ left, width }} title={said}>
            {kind === 'action' && <StatusIcon status={span.status} quiet />}<span class="sr">{said}</span>
        </span>
    );
}

// ---------------------------------------------------------------- events

const rowHeight = 32;
const chartWidth = 120;

function Events({ query }: { query: Query<{ events: ExecutionEvent[] }> }) {
    const wanted = location.value.query.get('by');
    const sort = wanted === 'order' ? 'order' : 'arrival';
    const [lit, light] = useState<number | null>(null);
    if (query.error && !query.data) return <Failure error={query.error} retry={query.reload} />;
    if (!query.data) return <Skeleton lines={8} />;
    const events = query.data.events;
    if (events.length === 0) return <Empty icon="event" title={t('events.none')} />;
    const list = links(events, sort);
    const orderly = list.every((l) => !l.crosses);
    const height = list.length * rowHeight;
    const y = (i: number) => i * rowHeight + rowHeight / 2;
    return (
        <div>
            <div class="toolbar flat">
                <Choice label={t('events.sort')} value={sort} options={[['arrival', t('events.sort.arrival')], ['order', t('events.sort.order')]]} onChange={(v) => setQuery({ by: v === 'order' ? v : null })} />
                <span class="toolbar-note">{summaryOf(events)}</span>
            </div>
            <p class="hint">{orderly ? t('events.inorder') : t('events.chart')}</p>
            <div class="panel scroll-x" tabIndex={0} role="region" aria-label={t('execution.tab.events')}>
                <div class="orders">
                    <div class="slope" aria-hidden="true">
                        <div class="slope-head"><span>{t(sort === 'arrival' ? 'events.order' : 'events.arrival')}</span><span>{t(sort === 'arrival' ? 'events.arrival' : 'events.order')}</span></div>
                        <svg width={chartWidth} height={height} viewBox={`0 0 ${chartWidth} ${height}`} data-slope>
                            {list.map((l) => (
                                <g key={l.event.position} class={`slope-link ${l.event.outcome}${l.crosses ? ' crosses' : ''}${lit === l.event.position ? ' lit' : ''}`}>
                                    <path d={`M26 ${y(l.to)}C68 ${y(l.to)} 52 ${y(l.from)} ${chartWidth - 26} ${y(l.from)}`} />
                                    <circle cx="26" cy={y(l.to)} r="2.5" /><circle cx={chartWidth - 26} cy={y(l.from)} r="3" />
                                    <text x="18" y={y(l.to) + 4} text-anchor="end">{l.to + 1}</text><text x={chartWidth - 18} y={y(l.from) + 4}>{l.from + 1}</text>
                                </g>
                            ))}
                        </svg>
                    </div>
                    <table class="table events-table">
                        <thead><tr>
                            <th class="sr">{t('events.arrival')}</th><th class="sr">{t('events.order')}</th>
                            <th>{t('events.time')}</th><th>{t('events.delay')}</th><th>{t('events.what')}</th><th>{t('events.state')}</th><th>{t('events.mark')}</th><th>{t('events.explain')}</th><th><span class="sr">{t('events.raw')}</span></th>
                        </tr></thead>
                        <tbody>
                            {list.map(({ event: e }) => (
                                <tr key={e.position} class={e.outcome} data-outcome={e.outcome} onPointerEnter={() => light(e.position)} onPointerLeave={() => light(null)}>
                                    <td class="sr">{e.arrival}</td><td class="sr">{e.order}</td>
                                    <td class="num" title={e.time ?? ''}>{clock(millis(e.time))}</td>
                                    <td class="num dim" title={`${t('events.received')}: ${e.receivedTime ?? '–'}`}>{delay(e)}</td>
                                    <td class={`what ${e.scope}`}>{subject(e)}{e.attempt > 1 && <span class="tries">×{e.attempt}</span>}</td>
                                    <td><span class={`state ${stateClass(e.state)}`}>{e.state}</span></td>
                                    <td>{e.outcome === 'accepted' ? <span class="mark accepted"><Icon name="check" /><span class="sr">{t('events.accepted')}</span></span> : <span class={`mark ${e.outcome}`}><Icon name={e.outcome} />{t(outcomeKey(e.outcome))}</span>}</td>
                                    <td class="explain dim" title={e.text ?? ''}>{e.text}</td>
                                    <td><a class="icon-button small" data-nav href={link.event(e.position)} title={`${t('events.raw')} #${e.position}`} aria-label={`${t('events.raw')} #${e.position}`}><Icon name="arrow" /></a></td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            </div>
        </div>
    );
}

function summaryOf(events: ExecutionEvent[]): string {
    const count = (outcome: string) => events.filter((e) => e.outcome === outcome).length;
    return t('events.summary', { accepted: count('accepted'), late: count('late'), duplicate: count('duplicate') });
}

// Event times have one second of resolution, so a delay below a second says nothing.
function delay(event: ExecutionEvent): string {
    const at = millis(event.time);
    const received = millis(event.receivedTime);
    if (at === null || received === null) return '–';
    const ms = received - at;
    return ms < 1000 ? '<1s' : duration(ms);
}

