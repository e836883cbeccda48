// Deliveries: everything that was to leave the program (notices, retries), what became of it, and dead ones sent again by hand.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api, get, post, url, type Delivery, type DeliveryStatus, type Receipt } from '../api.js';
import { dateTime } from '../format.js';
import { t, tn, type Key } from '../i18n.js';
import { health, openStream } from '../live.js';
import { millis, shortId } from '../logic.js';
import { link, location, setQuery } from '../router.js';
import { Ago, At, Choice, Copy, Dialog, Empty, Facts, Failure, Icon, PageHead, Section, Skeleton, useQuery, useThrottled, useTitle } from '../ui.js';
import { Decisions } from './receipt.js';

const states: readonly DeliveryStatus[] = ['pending', 'held', 'in_flight', 'delivered', 'dead', 'cancelled'];
const looks: Record<DeliveryStatus, [string, 'clock' | 'held' | 'delivery' | 'check' | 'cross' | 'minus']> = {
    pending: ['s-InProgress', 'clock'], held: ['s-Stopped', 'held'], in_flight: ['s-InProgress', 'delivery'],
    delivered: ['s-Succeeded', 'check'], dead: ['s-Failed', 'cross'], cancelled: ['s-Cancelled', 'minus'],
};

export function DeliveryState({ status }: { status: DeliveryStatus }) {
    const [look, icon] = looks[status] ?? looks.pending;
    return <span class={`pill ${look}`} data-delivery-status={status}><Icon name={icon} />{t(`deliveries.status.${status}`)}</span>;
}

function KindIcon({ kind }: { kind: string }) {
    const key: Key = kind === 'retry' ? 'deliveries.retry' : kind === 'target' ? 'deliveries.rule' : 'deliveries.notify';
    return <span class="line-icon dim" title={t(key)}><Icon name={kind === 'retry' ? 'again' : kind === 'target' ? 'rule' : 'mail'} /><span class="sr">{t(key)}</span></span>;
}

export function DeliveryRow({ delivery: d, onRedrive }: { delivery: Delivery; onRedrive?: (d: Delivery) => void }) {
    return (
        <li class="line delivery-line" data-delivery={d.deliveryId}>
            <DeliveryState status={d.status} />
            <KindIcon kind={d.kind} />
            <span class="line-main">
                <a class="row-link" data-nav href={link.delivery(d.deliveryId)}>{d.subject || d.topic}</a>
                <span class="dim">{d.target}</span>
            </span>
            <span class="line-text">{d.status === 'dead' && d.lastError ? <span class="error-text" title={d.lastError.text ?? ''}>{d.lastError.text ?? d.lastError.code}</span> : d.attempts > 1 ? tn('deliveries.attempts', d.attempts) : ''}</span>
            {d.status === 'dead' && onRedrive ? <button type="button" class="button small above" data-redrive onClick={() => onRedrive(d)}><Icon name="again" />{t('deliveries.redrive')}</button> : <span class="line-id mono">{shortId(d.executionId)}</span>}
            <span class="line-time"><Ago time={d.plannedTime} /></span>
        </li>
    );
}

function Ask({ title, run, close }: { title: string; run: () => Promise<number>; close: (done: number | null) => void }) {
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState<string | null>(null);
    const go = async () => {
        setBusy(true);
        setError(null);
        try {
            close(await run());
        } catch (problem) {
            setError(problem instanceof ApiError ? problem.message : String(problem));
            setBusy(false);
        }
    };
    return (
        <Dialog title={title} onClose={() => close(null)}>
            <p class="dialog-text">{t('deliveries.redrive.hint')}</p>
            {error && <p class="form-error" role="alert"><Icon name="incident" />{error}</p>}
            <div class="dialog-actions">
                <button type="button" class="button" onClick={() => close(null)}>{t('common.cancel')}</button>
                <button type="button" class="button primary" data-confirm disabled={busy} autofocus onClick={() => void go()}><Icon name="again" />{t('deliveries.redrive')}</button>
            </div>
        </Dialog>
    );
}

const redriveOne = async (id: string) => {
    await post(`${api.delivery(id)}/redrive`);
    return 1;
};
const redriveAll = async () => (await post<{ redriven: number }>('/api/v1/deliveries/redrive', { all: true }))?.redriven ?? 0;

export function DeliveriesPage() {
    const query = location.value.query;
    const wanted = query.get('status') as DeliveryStatus | null;
    const status = wanted && states.includes(wanted) ? wanted : null;
    const kind = query.get('kind');
    const path = url('/api/v1/deliveries', { status, kind, executionId: query.get('executionId'), limit: 100 });
    useTitle(t('deliveries.title'));
    const page = useQuery<{ deliveries: Delivery[]; nextCursor: string | null }>(path);
    const [older, setOlder] = useState<{ path: string; list: Delivery[]; next: string | null } | null>(null);
    const [asking, ask] = useState<Delivery | 'all' | null>(null);
    const [said, say] = useState<number | null>(null);
    const soon = useThrottled(page.reload, 500);
    useEffect(() => openStream({ path: '/api/v1/stream', from: null, onRefetch: soon, onEvent: (event) => { if (event === 'delivery') soon(); } }), []);
    useEffect(() => {
        if (said === null) return;
        const timer = setTimeout(() => say(null), 5000);
        return () => clearTimeout(timer);
    }, [said]);

    const more = older?.path === path ? older : null;
    const first = page.data?.deliveries ?? [];
    const known = new Set(first.map((d) => d.deliveryId));
    const list = [...first, ...(more?.list.filter((d) => !known.has(d.deliveryId)) ?? [])];
    const next = more ? more.next : page.data?.nextCursor ?? null;
    const loadOlder = async () => {
        const answer = await get<{ deliveries: Delivery[]; nextCursor: string | null }>(`${path}&cursor=${encodeURIComponent(next!)}`);
        setOlder({ path, list: [...(more?.list ?? []), ...answer.deliveries], next: answer.nextCursor });
    };
    const dead = health.value?.deadDeliveries ?? 0;
    return (
        <div class="page">
            <PageHead title={t('deliveries.title')} aside={dead > 0 ? <button type="button" class="button" data-redrive-all onClick={() => ask('all')}><Icon name="again" />{t('deliveries.redriveAll')}</button> : null}>{null}</PageHead>
            <div class="toolbar">
                <Choice label={t('deliveries.filter')} value={status ?? 'all'} options={[['all', t('deliveries.all')], ...states.map((s): [DeliveryStatus, string] => [s, t(`deliveries.status.${s}`)])]}
                    onChange={(v) => setQuery({ status: v === 'all' ? null : v })} />
                <Choice label={t('deliveries.filterKind')} value={kind === 'notify' || kind === 'retry' || kind === 'target' ? kind : 'all'}
                    options={[['all', t('deliveries.all')], ['notify', <><Icon name="mail" />{t('deliveries.notify')}</>], ['retry', <><Icon name="again" />{t('deliveries.retry')}</>], ['target', <><Icon name="rule" />{t('deliveries.rule')}</>]]} onChange={(v) => setQuery({ kind: v === 'all' ? null : v })} />
                <span class="toolbar-note" role="status">{said !== null && tn('deliveries.redriven', said)}</span>
            </div>
            {page.error && !page.data ? <Failure error={page.error} retry={page.reload} /> : !page.data ? <Skeleton lines={10} />
                : list.length === 0 ? <Empty icon="check" title={t(status === 'dead' ? 'deliveries.none.dead' : 'deliveries.none')} hint={t(status === 'dead' ? 'deliveries.none.dead.hint' : 'deliveries.none.hint')} />
                : <ul class="rows framed">{list.map((d) => <DeliveryRow key={d.deliveryId} delivery={d} onRedrive={ask} />)}</ul>}
            {next !== null && list.length > 0 && <p class="more"><button type="button" class="button" onClick={() => void loadOlder()}>{t('deliveries.older')}</button></p>}
            {asking !== null && (
                <Ask title={asking === 'all' ? tn('deliveries.redrive.askAll', dead) : t('deliveries.redrive.ask')} run={asking === 'all' ? redriveAll : () => redriveOne(asking.deliveryId)}
                    close={(done) => { ask(null); if (done !== null) { say(done); page.reload(); } }} />
            )}
        </div>
    );
}

export function DeliveryPage({ id }: { id: string }) {
    const page = useQuery<Delivery>(api.delivery(id));
    const receipt = useQuery<Receipt>(`${api.delivery(id)}/receipt`);
    const [asking, ask] = useState(false);
    const d = page.data;
    useTitle(d?.subject ?? id, t('deliveries.kind'));
    const soon = useThrottled(page.reload, 300);
    useEffect(() => openStream({ path: '/api/v1/stream', from: null, onRefetch: soon, onEvent: (event, data) => { if (event === 'delivery' && data.deliveryId === id) soon(); } }), [id]);
    if (page.error && !d) return <div class="page"><Failure error={page.error} retry={page.reload} /></div>;
    if (!d) return <div class="page"><Skeleton lines={10} /></div>;
    return (
        <div class="page">
            <PageHead kind={t(d.kind === 'retry' ? 'deliveries.retry' : d.kind === 'target' ? 'deliveries.rule' : 'deliveries.notify')} title={d.subject || d.topic} back={{ href: '/deliveries', text: t('deliveries.title') }}
                aside={<>{<DeliveryState status={d.status} />}{d.status === 'dead' && <button type="button" class="button primary" data-redrive onClick={() => ask(true)}><Icon name="again" />{t('deliveries.redrive')}</button>}</>}>
                <p class="sub"><span class="mono">{d.deliveryId}</span><Copy text={d.deliveryId} /></p>
            </PageHead>
            {d.status === 'dead' && (
                <div class="callout bad"><Icon name="incident" /><div><p class="callout-title">{t('deliveries.status.dead')}{d.reason && <>: <code>{d.reason}</code></>}</p>{d.lastError && <p>{d.lastError.code && <code>{d.lastError.code}</code>} {d.lastError.text}</p>}</div></div>
            )}
            <Facts rows={[
                [t('deliveries.target'), d.target], [t('deliveries.topic'), d.topic], [t('pipeline.kind'), <a href={link.pipeline(d)}>{d.pipeline}</a>],
                [t('execution.kind'), <a class="mono" href={link.execution(d.executionId)}>{shortId(d.executionId)}</a>], [t('deliveries.planned'), <At time={d.plannedTime} />],
                [t('deliveries.next'), d.nextAttemptTime ? <At time={d.nextAttemptTime} /> : null], [t('deliveries.finished'), d.finishedTime ? <At time={d.finishedTime} /> : null],
                [t('deliveries.attempts'), <span class="num">{d.attempts}</span>], [t('deliveries.urgent'), d.urgent ? <Icon name="check" /> : null],
                [t('deliveries.twice'), d.possiblyTwice ? <Icon name="check" /> : null], [t('deliveries.key'), <span class="mono wrap">{d.key}</span>],
            ]} />
            <div class="two">
                <Section id="history" title={t('deliveries.history')}>
                    {d.history && d.history.length > 0 ? (
                        <ol class="attempts">
                            {d.history.map((h, i) => (
                                <li key={i} class={`attempt ${h.outcome}`}>
                                    <span class="decision-mark"><Icon name={h.outcome === 'ok' ? 'check' : h.outcome === 'retry' ? 'again' : h.outcome === 'dead' ? 'cross' : 'help'} /></span>
                                    <div><p><strong>{t(`deliveries.outcome.${h.outcome}`)}</strong> <span class="dim num">{dateTime(millis(h.time))}</span></p><p class="dim">{h.code && <code>{h.code}</code>} {h.text}</p></div>
                                </li>
                            ))}
                        </ol>
                    ) : <p class="dim pad">{t('deliveries.history.none')}</p>}
                </Section>
                {d.message && (
                    <Section id="message" title={t('deliveries.message')}>
                        <article class="letter"><p class="letter-head"><span class="dim">{t('deliveries.target')}</span> {d.target}</p><p class="letter-head"><span class="dim">{t('deliveries.subject')}</span> <strong>{d.message.subject}</strong></p><pre>{d.message.body}</pre></article>
                    </Section>
                )}
            </div>
            <Section id="why" title={t('why.title')}><Decisions receipt={receipt} deliveries={[d]} /></Section>
            {asking && <Ask title={t('deliveries.redrive.ask')} run={() => redriveOne(id)} close={(done) => { ask(false); if (done !== null) page.reload(); }} />}
        </div>
    );
}
