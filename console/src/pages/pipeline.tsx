// One pipeline: where it stands, how long it takes, all its executions. Account and region belong to its identity (?account=…&region=…); an address
// without them leads to the only pipeline of that name, or asks which one is meant.
import { useEffect, useState } from 'preact/hooks';
import { api, get, url, type ExecutionRow, type PipelineRow } from '../api.js';
import { dateTime, duration } from '../format.js';
import { t } from '../i18n.js';
import { openStream } from '../live.js';
import { brief, commitId, millis, rowKey, shortId } from '../logic.js';
import { link, location } from '../router.js';
import { Ago, Empty, Failure, Gaps, Length, PageHead, Section, Skeleton, StageChain, StatusIcon, statusName, StatusPill, useQuery, useThrottled, useTitle } from '../ui.js';

interface Answer { executions: ExecutionRow[]; nextCursor: string | null }
interface Place { pipeline: string; account: string; region: string }
const running = (e: { status: string }) => e.status === 'InProgress' || e.status === 'Stopping';

export function PipelinePage({ name }: { name: string }) {
    const account = location.value.query.get('account');
    const region = location.value.query.get('region');
    const found = useQuery<{ pipelines: PipelineRow[] }>(url('/api/v1/pipelines', { q: name, limit: 10_000 }));
    useTitle(name, t('pipeline.kind'));
    const places = found.data?.pipelines.filter((p) => p.pipeline === name && (!account || p.account === account) && (!region || p.region === region)) ?? [];
    const same = found.data?.pipelines.filter((p) => p.pipeline === name) ?? [];
    const place: Place | undefined = account && region ? { pipeline: name, account, region } : places.length === 1 ? places[0] : undefined;
    if (place) return <One key={rowKey(place)} place={place} others={same.filter((p) => rowKey(p) !== rowKey(place))} />;
    if (found.error && !found.data) return <div class="page"><Failure error={found.error} retry={found.reload} /></div>;
    if (!found.data) return <div class="page"><Skeleton lines={12} /></div>;
    return (
        <div class="page">
            <PageHead kind={t('pipeline.kind')} title={name} back={{ href: '/', text: t('nav.overview') }}>
                {places.length > 0 && <p class="sub" role="status">{t('pipeline.places', { n: places.length })}</p>}
            </PageHead>
            {places.length === 0 ? <Empty icon="overview" title={t('pipeline.empty')} /> : <ul class="rows framed">{places.map((p) => <PlaceLine key={rowKey(p)} place={p} />)}</ul>}
        </div>
    );
}

function PlaceLine({ place: p }: { place: PipelineRow }) {
    return (
        <li class="line execution-line" data-place={rowKey(p)}>
            <StatusIcon status={p.status} />
            <span class="line-main"><a class="row-link" data-nav href={link.pipeline(p)}><span class="mono">{p.account}</span> · {p.region}</a></span>
            <StageChain stages={p.stages} small />
            <span class="row-marks"><Gaps count={p.gaps} /></span>
            <span class="line-time"><Ago time={p.lastUpdateTime} /></span>
        </li>
    );
}

function One({ place, others }: { place: Place; others: Place[] }) {
    const path = url(api.pipelineExecutions(place.pipeline), { account: place.account, region: place.region, limit: 50 });
    const page = useQuery<Answer>(path);
    const [older, setOlder] = useState<{ list: ExecutionRow[]; next: string | null } | null>(null);
    const soon = useThrottled(page.reload, 400);
    useEffect(() => openStream({
        path: '/api/v1/stream', from: null, onRefetch: soon,
        onEvent: (_event, data) => { if (data.pipeline === place.pipeline && data.account === place.account && data.region === place.region) soon(); },
    }), []);

    if (page.error && !page.data) return <div class="page"><Failure error={page.error} retry={page.reload} /></div>;
    if (!page.data) return <div class="page"><Skeleton lines={12} /></div>;
    const known = new Set(page.data.executions.map((e) => e.executionId));
    const list = [...page.data.executions, ...(older?.list.filter((e) => !known.has(e.executionId)) ?? [])];
    const next = older ? older.next : page.data.nextCursor;
    const loadOlder = async () => {
        const answer = await get<Answer>(`${path}&cursor=${encodeURIComponent(next!)}`);
        setOlder({ list: [...(older?.list ?? []), ...answer.executions], next: answer.nextCursor });
    };
    const current = list[0];
    return (
        <div class="page">
            <PageHead kind={t('pipeline.kind')} title={place.pipeline} back={{ href: '/', text: t('nav.overview') }} aside={current ? <StatusPill status={current.status} /> : null}>
                <p class="sub"><span class="mono">{place.account}</span><span>{place.region}</span><a href={url('/incidents', { pipeline: place.pipeline, account: place.account, region: place.region })}>{t('pipeline.incidents')}</a></p>
                {others.length > 0 && <p class="sub">{t('pipeline.also')}{others.map((p) => <a key={rowKey(p)} data-place={rowKey(p)} href={link.pipeline(p)}><span class="mono">{p.account}</span> · {p.region}</a>)}</p>}
            </PageHead>
            {!current ? <Empty icon="overview" title={t('pipeline.empty')} /> : <>
                <Section id="current" title={t('pipeline.current')}><div class="panel pad"><StageChain stages={current.stages} /></div></Section>
                <Durations list={list.slice(0, 60)} />
                <Section id="executions" title={t('pipeline.executions')}>
                    <ul class="rows framed">{list.map((e) => <Line key={e.executionId} execution={e} />)}</ul>
                    {next !== null && <p class="more"><button type="button" class="button" onClick={() => void loadOlder()}>{t('pipeline.older')}</button></p>}
                </Section>
            </>}
        </div>
    );
}

function Line({ execution: e }: { execution: ExecutionRow }) {
    const commit = commitId(e.commit);
    const words = [brief(e.trigger), commit || brief(e.commit), brief(e.author)].filter(Boolean);
    return (
        <li class="line execution-line">
            <StatusIcon status={e.status} />
            <span class="line-main"><a class="row-link mono" data-nav href={link.execution(e.executionId)}>{shortId(e.executionId)}</a><span class="dim">{words.join(' · ')}</span></span>
            <StageChain stages={e.stages} small />
            <span class="row-marks"><Gaps count={e.gaps} /></span>
            <span class="line-number"><Length ms={e.durationMs} since={e.startTime} running={running(e)} /></span>
            <span class="line-time"><Ago time={e.startTime} /></span>
        </li>
    );
}

function Durations({ list }: { list: ExecutionRow[] }) {
    const timed = list.filter((e) => e.durationMs !== null && e.durationMs > 0);
    if (timed.length < 2) return null;
    const lengths = timed.map((e) => e.durationMs!).sort((a, b) => a - b);
    const top = lengths[lengths.length - 1]!;
    const median = lengths[Math.floor(lengths.length / 2)]!;
    const good = list.filter((e) => e.status === 'Succeeded').length;
    return (
        <Section id="durations" title={t('pipeline.durations', { n: list.length })}
            aside={<span class="dim">{t('pipeline.rate', { n: good, total: list.length })} · {t('pipeline.median', { time: duration(median) })}</span>}>
            <div class="panel durations">
                <span class="durations-top dim num">{duration(top)}</span>
                <div class="bars">
                    {list.slice().reverse().map((e) => {
                        const said = `${statusName(e.status)} · ${duration(e.durationMs)} · ${dateTime(millis(e.startTime))}`;
                        const height = e.durationMs === null ? 100 : Math.max(3, (100 * e.durationMs) / top);
                        return <a key={e.executionId} class={`bar s-${e.status}${running(e) ? ' open' : ''}`} href={link.execution(e.executionId)} title={said} tabIndex={-1} aria-label={said}><i style={{ height: `${height}%` }} /></a>;
                    })}
                    <i class="median" style={{ bottom: `${(100 * median) / top}%` }} />
                </div>
            </div>
        </Section>
    );
}

