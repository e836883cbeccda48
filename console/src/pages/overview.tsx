// What fails first, and everything else, live. Rows are signals (see pipelines.ts): an event repaints one row.
import { useComputed, type Signal } from '@preact/signals';
import { memo } from './memo.js';
import { useEffect, useRef } from 'preact/hooks';
import { url, type Incident, type PipelineRow } from '../api.js';
import { number, t, tn } from '../i18n.js';
import { health, rate } from '../live.js';
import { rowKey, samePlace, shortId, type Group } from '../logic.js';
import { counts, failure, follow, group, held, loaded, openIncidents, ordered, sharedPlaces, sort, text } from '../pipelines.js';
import { link, location, setQuery } from '../router.js';
import { Ago, Choice, Empty, Failure, FilterInput, Gaps, Icon, PageHead, Skeleton, StageChain, StatusIcon, useMedia, useQuery, useThrottled, useTitle, VirtualList } from '../ui.js';
import { IncidentRow } from './incidents.js';

function fromQuery(): void {
    const query = location.peek().query;
    const wanted = query.get('show');
    text.value = query.get('q') ?? '';
    group.value = wanted === 'failing' || wanted === 'running' || wanted === 'ok' || wanted === 'other' ? wanted : null;
    sort.value = query.get('sort') === 'name' ? 'name' : 'attention';
}

export function OverviewPage() {
    useTitle(counts.value.failing > 0 ? `(${counts.value.failing}) ${t('nav.overview')}` : t('nav.overview'));
    useEffect(() => {
        fromQuery();
        return follow();
    }, []);
    return (
        <div class="page">
            <PageHead title={t('overview.title')}>{null}</PageHead>
            <Summary />
            <OpenIncidents />
            <List />
        </div>
    );
}

function choose(next: Group | null): void {
    group.value = group.value === next ? null : next;
    setQuery({ show: group.value });
}

function Summary() {
    const c = counts.value;
    const h = health.value;
    const tile = (name: Group, key: 'overview.failing' | 'overview.running' | 'overview.ok' | 'overview.other', status: string) => (
        <button type="button" class={`tile${name === 'failing' && c.failing > 0 ? ' hot' : ''}`} aria-pressed={group.value === name} data-group={name} onClick={() => choose(name)}>
            <span class="tile-label"><StatusIcon status={status} quiet />{t(key)}</span>
            <span class="tile-value num">{loaded.value ? number(c[name]) : '–'}</span>
        </button>
    );
    const latest = rate.value[rate.value.length - 1];
    return (
        <section class="tiles" aria-label={t('overview.summary')}>
            {tile('failing', 'overview.failing', 'Failed')}
            {tile('running', 'overview.running', 'InProgress')}
            {tile('ok', 'overview.ok', 'Succeeded')}
            {tile('other', 'overview.other', 'Superseded')}
            <a class={`tile${h && h.openIncidents > 0 ? ' hot' : ''}`} href="/incidents">
                <span class="tile-label"><Icon name="incident" />{t('overview.incidents')}</span>
                <span class="tile-value num">{h ? number(h.openIncidents) : '–'}</span>
            </a>
            <a class={`tile${h && h.deadDeliveries > 0 ? ' hot' : ''}`} href="/deliveries?status=dead">
                <span class="tile-label"><Icon name="delivery" />{t('overview.dead')}</span>
                <span class="tile-value num">{h ? number(h.deadDeliveries) : '–'}</span>
            </a>
            <a class="tile tile-rate" href="/events">
                <span class="tile-label"><Icon name="event" />{t('overview.rate')}</span>
                <span class="tile-value num">{latest === undefined ? '–' : number(latest < 10 ? Math.round(latest * 10) / 10 : Math.round(latest))}</span>
                <Spark values={rate.value} />
            </a>
        </section>
    );
}

function Spark({ values }: { values: number[] }) {
    if (values.length < 2) return null;
    const top = Math.max(...values, 1);
    const places = Math.max(values.length, 12) - 1;
    const x = (i: number) => (100 * (i + 1 + places - values.length)) / places;
    const y = (v: number) => 27 - (24 * v) / top;
    const line = values.map((v, i) => `${i === 0 ? 'M' : 'L'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join('');
    return (
        <svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">
            <path class="spark-area" d={`${line}L100 28L${x(0).toFixed(1)} 28Z`} /><path class="spark-line" d={line} />
        </svg>
    );
}

function OpenIncidents() {
    const open = health.value?.openIncidents ?? null;
    const path = open === 0 ? null : url('/api/v1/incidents', { status: 'open', limit: 4 });
    const { data, reload } = useQuery<{ incidents: Incident[] }>(path);
    const soon = useThrottled(reload, 500);
    const moved = openIncidents.value;
    useEffect(() => { if (moved !== '') soon(); }, [moved, open]);
    if (!data || data.incidents.length === 0 || path === null) return null;
    const more = (open ?? 0) - data.incidents.length;
    return (
        <section class="section open-incidents" aria-labelledby="open-incidents">
            <div class="section-head">
                <h2 id="open-incidents">{t('overview.incidents')}</h2>
                {more > 0 && <a href="/incidents">{t('incidents.more')} ({number(open ?? 0)})</a>}
            </div>
            <ul class="rows">{data.incidents.map((i) => <IncidentRow key={i.incidentId} incident={i} plain />)}</ul>
        </section>
    );
}

function List() {
    const narrow = useMedia('(max-width: 820px)');
    const list = ordered.value;
    const holdTimer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
    useEffect(() => () => { clearTimeout(holdTimer.current); held.value = false; }, []);
    // A list that moves under the pointer makes people click the wrong thing. It waits while the pointer moves over it, and as long
    // as the keyboard is in it.
    const inside = useRef(false);
    const letGo = () => {
        clearTimeout(holdTimer.current);
        held.value = inside.current;
    };
    const point = () => {
        clearTimeout(holdTimer.current);
        held.value = true;
        holdTimer.current = setTimeout(letGo, 4000);
    };
    const focus = (on: boolean) => {
        inside.current = on;
        if (on) held.value = true;
        else letGo();
    };
    return (
        <section aria-labelledby="pipelines-heading">
            <div class="toolbar">
                <h2 id="pipelines-heading" class="sr">{t('overview.title')}</h2>
                <FilterInput label={t('overview.filter')} value={text.value} onInput={(v) => { text.value = v; setQuery({ q: v }); }} />
                <Choice label={t('overview.sort')} value={sort.value} options={[['attention', t('overview.sort.attention')], ['name', t('overview.sort.name')]]}
                    onChange={(v) => { sort.value = v; setQuery({ sort: v === 'name' ? v : null }); }} />
                <span class="toolbar-note" role="status">
                    {held.value && sort.value === 'attention' ? <span class="held"><Icon name="held" />{t('overview.held')}</span> : loaded.value ? tn('overview.shown', list.length) : ''}
                </span>
            </div>
            <div class="list-frame" onPointerMove={(e) => { if (e.pointerType === 'mouse') point(); }} onPointerLeave={letGo}
                onFocusIn={() => focus(true)} onFocusOut={(e) => focus(e.relatedTarget instanceof Node && e.currentTarget.contains(e.relatedTarget))}>
                {!loaded.value && failure.value ? <Failure error={failure.value} retry={() => window.location.reload()} />
                    : !loaded.value ? <Skeleton lines={12} />
                    : counts.value.total === 0 ? <Empty icon="overview" title={t('overview.empty')} hint={t('overview.empty.hint')}><pre class="try">{'waybill demo'}</pre></Empty>
                    : list.length === 0 ? <Empty icon="search" title={t('overview.nomatch')} hint={t('overview.nomatch.hint')}><button class="button" onClick={() => { text.value = ''; group.value = null; setQuery({ q: null, show: null }); }}>{t('overview.clear')}</button></Empty>
                    : <VirtualList count={list.length} rowHeight={narrow ? 76 : 44} label={t('overview.title')} keyOf={(i) => rowKey(list[i]!.peek())} render={(i) => <Row row={list[i]!} />} />}
            </div>
        </section>
    );
}

const Row = memo(function Row({ row }: { row: Signal<PipelineRow> }) {
    const value = row.value;
    const shared = useComputed(() => sharedPlaces.value.has(samePlace(row.value)));
    const element = useRef<HTMLDivElement>(null);
    const before = useRef(value);
    useEffect(() => {
        if (before.current === value) return;
        const changed = before.current.status !== value.status || before.current.executionId !== value.executionId;
        before.current = value;
        if (!changed || window.matchMedia('(prefers-reduced-motion: reduce)').matches) return;
        element.current?.animate([{ backgroundColor: 'var(--flash)' }, { backgroundColor: 'transparent' }], { duration: 1200, easing: 'ease-out' });
    }, [value]);
    return (
        <div ref={element} class={`row s-${value.status ?? 'none'}`} data-pipeline={value.pipeline} data-status={value.status ?? 'none'}>
            <StatusIcon status={value.status} />
            <span class="row-name">
                <a class="row-link" data-nav href={value.executionId ? link.execution(value.executionId) : link.pipeline(value)} title={`${value.pipeline} · ${value.account} · ${value.region}`}>{value.pipeline}</a>
                <span class="row-region">{shared.value ? `${value.region} · ${value.account}` : value.region}</span>
            </span>
            <StageChain stages={value.stages} />
            <span class="row-marks">
                <Gaps count={value.gaps} />
                {value.openIncident && <a class="incident-mark" href={link.incident(value.openIncident)} title={t('overview.incident')}><Icon name="incident" /><span class="sr">{t('overview.incident')}</span></a>}
            </span>
            <a class="row-id mono" href={link.pipeline(value)} title={`${t('pipeline.executions')}: ${number(value.executions)}`} tabIndex={-1}>{shortId(value.executionId)}</a>
            <span class="row-time"><Ago time={value.lastUpdateTime} /></span>
        </div>
    );
});

