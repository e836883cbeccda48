// Incidents: what broke, since when, what mended it; and the page of one.
import { useEffect } from 'preact/hooks';
import { api, url, type Delivery, type Incident, type Receipt } from '../api.js';
import { duration } from '../format.js';
import { t, tn } from '../i18n.js';
import { now, openStream } from '../live.js';
import { millis, shortId } from '../logic.js';
import { link, location, setQuery } from '../router.js';
import { Ago, At, Choice, Copy, Empty, Facts, Failure, Icon, Outside, PageHead, Section, Skeleton, useQuery, useThrottled, useTitle } from '../ui.js';
import { DeliveryRow } from './deliveries.js';
import { Decisions } from './receipt.js';

function Lasting({ incident }: { incident: Incident }) {
    const opened = millis(incident.openedTime);
    const resolved = millis(incident.resolvedTime);
    if (opened === null) return null;
    return <span class="num">{resolved === null ? t('incidents.since', { time: duration(now.value - opened, incidentParts) }) : t('incidents.lasted', { time: duration(resolved - opened, incidentParts) })}</span>;
}
const incidentParts = 2;

export function IncidentState({ incident }: { incident: Incident }) {
    const open = incident.status === 'open';
    return <span class={`pill ${open ? 's-Failed' : 's-Succeeded'}`}><Icon name={open ? 'incident' : 'check'} />{t(open ? 'incidents.open' : 'incidents.resolved')}</span>;
}

// `plain` leaves the state out, where all are open anyway.
export function IncidentRow({ incident, plain }: { incident: Incident; plain?: boolean }) {
    return (
        <li class="line incident-line" data-incident={incident.incidentId}>
            {plain ? <span class="s-Failed line-icon"><Icon name="incident" /></span> : <IncidentState incident={incident} />}
            <span class="line-main"><a class="row-link" data-nav href={link.incident(incident.incidentId)}>{incident.pipeline}</a><span class="dim">{incident.region}</span></span>
            <span class="line-text">{tn('incidents.failures', incident.executions.length)}</span>
            <span class="line-text"><Lasting incident={incident} /></span>
            <span class="line-id mono">{incident.incidentId}</span>
            <span class="line-time"><Ago time={incident.openedTime} /></span>
        </li>
    );
}

function useIncidentStream(reload: () => void): void {
    const soon = useThrottled(reload, 400);
    useEffect(() => openStream({
        path: '/api/v1/stream', from: null, onRefetch: soon,
        onEvent: (event) => { if (event === 'incident' || event === 'delivery') soon(); },
    }), []);
}

export function IncidentsPage() {
    const wanted = location.value.query.get('status');
    const status = wanted === 'open' || wanted === 'resolved' ? wanted : 'all';
    const { query: asked } = location.value;
    const [pipeline, account, region] = ['pipeline', 'account', 'region'].map((key) => asked.get(key));
    useTitle(t('incidents.title'));
    const query = useQuery<{ incidents: Incident[] }>(url('/api/v1/incidents', { status, pipeline, account, region, limit: 200 }));
    useIncidentStream(query.reload);
    const { data, error } = query;
    return (
        <div class="page">
            <PageHead title={t('incidents.title')} {...(pipeline ? { back: { href: account && region ? link.pipeline({ pipeline, account, region }) : `/pipelines/${encodeURIComponent(pipeline)}`, text: pipeline } } : {})}>{null}</PageHead>
            <div class="toolbar">
                <Choice label={t('incidents.filter')} value={status} options={[['all', t('incidents.all')], ['open', t('incidents.open')], ['resolved', t('incidents.resolved')]]}
                    onChange={(v) => setQuery({ status: v === 'all' ? null : v })} />
            </div>
            {error && !data ? <Failure error={error} retry={query.reload} /> : !data ? <Skeleton />
                : data.incidents.length === 0 ? <Empty icon="check" title={t(status === 'open' ? 'incidents.none.open' : 'incidents.none')} hint={t('incidents.none.open.hint')} />
                : <ul class="rows framed">{data.incidents.map((i) => <IncidentRow key={i.incidentId} incident={i} />)}</ul>}
        </div>
    );
}

export function IncidentPage({ id }: { id: string }) {
    const incident = useQuery<Incident>(api.incident(id));
    const receipt = useQuery<Receipt>(`${api.incident(id)}/receipt`);
    useTitle(incident.data?.pipeline, t('incidents.kind'), id);
    useIncidentStream(() => { incident.reload(); receipt.reload(); });
    if (incident.error && !incident.data) return <div class="page"><Failure error={incident.error} retry={incident.reload} /></div>;
    const i = incident.data;
    if (!i) return <div class="page"><Skeleton lines={10} /></div>;
    const deliveries = (i.deliveries ?? []).filter((d): d is Delivery => typeof d === 'object');
    return (
        <div class="page">
            <PageHead kind={t('incidents.kind')} title={i.pipeline} back={{ href: '/incidents', text: t('incidents.title') }} aside={<IncidentState incident={i} />}>
                <p class="sub"><span class="mono">{i.incidentId}</span><Copy text={i.incidentId} /><span><Lasting incident={i} /></span></p>
            </PageHead>
            {i.cause && (
                <div class="callout bad">
                    <Icon name="incident" />
                    <div>
                        <p class="callout-title">{i.cause.actionName && i.cause.stageName ? t('execution.failed', { action: i.cause.actionName, stage: i.cause.stageName }) : t('incidents.cause')}</p>
                        <p>{i.cause.errorCode && <code>{i.cause.errorCode}</code>} {i.cause.summary}</p>
                        {i.cause.url && <p><Outside href={i.cause.url}>{i.cause.url.replace(/^https?:\/\//, '').slice(0, 80)}</Outside></p>}
                    </div>
                </div>
            )}
            <Facts rows={[
                [t('incidents.opened'), <At time={i.openedTime} />], [t('incidents.resolved'), i.resolvedTime ? <At time={i.resolvedTime} /> : null],
                [t('incidents.resolvedBy'), i.resolvedBy ? <a class="mono" href={link.execution(i.resolvedBy)}>{shortId(i.resolvedBy)}</a> : null],
                [t('execution.account'), <span class="mono">{i.account}</span>], [t('execution.region'), i.region], [t('pipeline.kind'), <a href={link.pipeline(i)}>{i.pipeline}</a>],
            ]} />
            <Section id="failed" title={t('incidents.failed')}>
                <ul class="rows framed">
                    {i.executions.map((e) => (
                        <li class="line" key={`${e.executionId}/${e.attempt}`}>
                            <span class="s-Failed line-icon"><Icon name="cross" /></span>
                            <span class="line-main"><a class="row-link mono" data-nav href={link.execution(e.executionId)}>{shortId(e.executionId)}</a></span>
                            <span class="line-text">{e.attempt > 1 ? t('execution.attempt.n', { n: e.attempt }) : ''}</span>
                            <span class="line-time"><Ago time={e.failedTime} /></span>
                        </li>
                    ))}
                </ul>
            </Section>
            <Section id="why" title={t('execution.tab.why')}><Decisions receipt={receipt} deliveries={deliveries} /></Section>
            {deliveries.length > 0 && <Section id="deliveries" title={t('deliveries.title')}><ul class="rows framed">{deliveries.map((d) => <DeliveryRow key={d.deliveryId} delivery={d} />)}</ul></Section>}
        </div>
    );
}
