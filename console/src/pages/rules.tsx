// Event buses and their rules: what each takes, who serves its targets; and a place to ask why an event matches a rule or not.
import { useState } from 'preact/hooks';
import { ApiError, post, url, type EventBus, type Explanation, type Rule, type RuleTarget } from '../api.js';
import { t, tn, type Key } from '../i18n.js';
import { location, setQuery } from '../router.js';
import { At, Copy, Empty, Failure, Icon, Json, PageHead, Section, Skeleton, useQuery, useTitle } from '../ui.js';

const sameBus = (bus: EventBus, rule: Rule) => bus.name === rule.bus && bus.account === rule.account && bus.region === rule.region;

function Served({ served, text }: { served: boolean; text: string | null }) {
    return (
        <span class={`mark served ${served ? 's-Succeeded' : 's-Failed'}`} title={text ?? ''} data-served={served ? 'yes' : 'no'}>
            <Icon name={served ? 'check' : 'cross'} />{t(served ? 'rules.served' : 'rules.unserved')}
        </span>
    );
}

function TargetLine({ target }: { target: RuleTarget }) {
    const queue = target.deadLetter;
    return (
        <li class="rule-target" data-target={target.id}>
            <Served served={target.served} text={target.servedBy ?? target.unservedReason} />
            <div>
                <p><strong class="strong">{target.id}</strong> <span class="tag">{target.kind}</span></p>
                <p class="mono wrap dim">{target.arn}</p>
                <p class="wrap">{target.served ? target.servedBy : target.unservedReason}</p>
                {queue && <p class="wrap"><Icon name={queue.served ? 'check' : 'cross'} /> {t('rules.deadLetter')}: <span class="mono">{queue.arn}</span>{!queue.served && <> ({queue.unservedReason})</>}</p>}
            </div>
        </li>
    );
}

function RuleItem({ rule, open }: { rule: Rule; open: boolean }) {
    const enabled = rule.state !== 'DISABLED';
    const lost = rule.targets.filter((x) => !x.served).length;
    return (
        <details class="rule" open={open} data-rule={rule.name}>
            <summary>
                <span class={`pill ${enabled ? 's-Succeeded' : 's-none'}`}><Icon name={enabled ? 'check' : 'pause'} />{t(enabled ? 'rules.enabled' : 'rules.disabled')}</span>
                <span class="rule-name">{rule.name}</span>
                <span class="rule-when dim">{rule.schedule ? <code>{rule.schedule}</code> : rule.description}</span>
                {lost > 0 && <span class="mark s-Failed served"><Icon name="cross" />{tn('rules.lost', lost)}</span>}
                <span class="dim num">{tn('rules.targets', rule.targets.length)}</span>
            </summary>
            <div class="rule-body">
                <p class="sub"><span class="mono wrap">{rule.arn}</span><Copy text={rule.arn} />{rule.nextTime && <span>{t('rules.next')} <At time={rule.nextTime} /></span>}</p>
                {rule.schedule && rule.description && <p>{rule.description}</p>}
                <div class="rule-two">
                    {rule.pattern !== null && <div><h3>{t('rules.pattern')}</h3><Json value={rule.pattern} label={t('rules.pattern')} /></div>}
                    <div>
                        <h3>{t('rules.targetsTitle')}</h3>
                        {rule.targets.length === 0 ? <p class="hint">{t('rules.noTargets')}</p> : <ul>{rule.targets.map((x) => <TargetLine key={x.id} target={x} />)}</ul>}
                    </div>
                </div>
            </div>
        </details>
    );
}

function outcomeText(clause: Explanation['nearest'][number]['clauses'][number]): string {
    const key: Record<string, Key> = { absent: 'rules.outcome.absent', present: 'rules.outcome.present', other_element: 'rules.outcome.other' };
    const said = key[clause.outcome];
    if (said) return t(said);
    return clause.found.length === 0 ? t('rules.outcome.nothing') : '';
}

function Explained({ explanation }: { explanation: Explanation }) {
    return (
        <div data-matched={explanation.matched ? 'yes' : 'no'}>
            <p class="rule-verdict" role="status">
                <span class={`pill ${explanation.matched ? 's-Succeeded' : 's-Failed'}`}><Icon name={explanation.matched ? 'check' : 'cross'} />{t(explanation.matched ? 'rules.matched' : 'rules.notMatched')}</span>
            </p>
            {explanation.nearest.map((branch, i) => (
                <div key={i} class="rule-branch scroll-x">
                    {explanation.combinations > 1 && <p class="hint">{t('rules.branch', { n: i + 1, total: explanation.combinations })}</p>}
                    <table class="table explain-table">
                        <thead><tr><th><span class="sr">{t('rules.result')}</span></th><th>{t('rules.field')}</th><th>{t('rules.wanted')}</th><th>{t('rules.found')}</th></tr></thead>
                        <tbody>
                            {branch.clauses.map((c) => {
                                const good = c.outcome === 'matched';
                                return (
                                    <tr key={c.path} data-clause={c.path} data-outcome={c.outcome}>
                                        <td><span class={`clause-mark ${good ? 's-Succeeded' : 's-Failed'}`}><Icon name={good ? 'check' : 'cross'} /><span class="sr">{t(good ? 'rules.matched' : 'rules.notMatched')}</span></span></td>
                                        <td class="mono">{c.path}</td>
                                        <td class="mono">{JSON.stringify(c.wanted)}</td>
                                        <td><span class="mono">{c.found.map((v) => JSON.stringify(v)).join(', ')}</span>{c.foundCount > c.found.length && <span class="dim"> +{c.foundCount - c.found.length}</span>} <span class={good ? 'dim' : 'clause-why'}>{outcomeText(c)}</span></td>
                                    </tr>
                                );
                            })}
                        </tbody>
                    </table>
                </div>
            ))}
        </div>
    );
}

function Ask({ rules }: { rules: Rule[] }) {
    const asked = location.value.query.get('rule') ?? '';
    const chosen = rules.find((r) => r.arn === asked) ?? rules[0];
    const [event, setEvent] = useState('');
    const [busy, setBusy] = useState(false);
    const [said, set] = useState<{ rule: string; explanation: Explanation } | { rule: string; error: string } | null>(null);
    if (!chosen) return null;
    const ask = async () => {
        setBusy(true);
        try {
            JSON.parse(event);
        } catch {
            set({ rule: chosen.arn, error: t('rules.notJson') });
            setBusy(false);
            return;
        }
        try {
            // As it was typed: numbers keep their form.
            const answer = await post<{ explanation: Explanation }>(url('/api/v1/rules/explain', { rule: chosen.arn }), event, true);
            if (answer) set({ rule: chosen.arn, explanation: answer.explanation });
        } catch (error) {
            set({ rule: chosen.arn, error: error instanceof ApiError ? error.message : String(error) });
        }
        setBusy(false);
    };
    return (
        <Section id="why" title={t('rules.why')}>
            <form class="panel pad ask" onSubmit={(e) => { e.preventDefault(); void ask(); }}>
                <p class="hint">{t('rules.why.hint')}</p>
                <label>
                    <span>{t('rules.rule')}</span>
                    <select data-explain-rule value={chosen.arn} onChange={(e) => { setQuery({ rule: e.currentTarget.value }); set(null); }}>
                        {rules.map((r) => <option key={r.arn} value={r.arn}>{`${r.name} (${r.bus}, ${r.account}, ${r.region})`}</option>)}
                    </select>
                </label>
                <label>
                    <span>{t('rules.event')}</span>
                    <textarea data-explain-event rows={9} spellcheck={false} placeholder={'{"source": "aws.codepipeline", "detail-type": "…", "detail": {}}'} value={event} onInput={(e) => setEvent(e.currentTarget.value)} />
                </label>
                <p><button type="submit" class="button primary" data-explain disabled={busy || event.trim() === ''}>{t('rules.explain')}</button></p>
                {said && said.rule === chosen.arn && ('error' in said ? <p class="form-error" role="alert"><Icon name="incident" />{said.error}</p> : <Explained explanation={said.explanation} />)}
                {said && chosen.state === 'DISABLED' && <p class="hint">{t('rules.disabled.hint')}</p>}
            </form>
        </Section>
    );
}

export function RulesPage() {
    useTitle(t('rules.title'));
    const buses = useQuery<{ buses: EventBus[] }>(url('/api/v1/buses', { limit: 1000 }));
    const rules = useQuery<{ rules: Rule[]; nextCursor: string | null }>(url('/api/v1/rules', { limit: 1000 }));
    const asked = location.value.query.get('rule');
    const error = buses.error ?? rules.error;
    if (error && (!buses.data || !rules.data)) return <div class="page"><PageHead title={t('rules.title')} /><Failure error={error} retry={() => { buses.reload(); rules.reload(); }} /></div>;
    if (!buses.data || !rules.data) return <div class="page"><PageHead title={t('rules.title')} /><Skeleton lines={8} /></div>;
    const all = rules.data.rules;
    return (
        <div class="page">
            <PageHead title={t('rules.title')} />
            {all.length === 0 && <Empty icon="rule" title={t('rules.none')} hint={t('rules.none.hint')} />}
            {rules.data.nextCursor !== null && <p class="hint">{t('rules.cut', { n: all.length })}</p>}
            {buses.data.buses.filter((bus) => all.length > 0 || bus.name !== 'default').map((bus) => {
                const mine = all.filter((r) => sameBus(bus, r));
                const id = `bus-${bus.account}-${bus.region}-${bus.name.replace(/[^\w-]/g, '_')}`;
                return (
                    <Section key={bus.arn} id={id} title={bus.name} aside={<span class="mono">{bus.account} · {bus.region}</span>}>
                        {bus.description && <p class="hint">{bus.description}</p>}
                        {mine.length === 0 ? <p class="hint">{t('rules.noRules')}</p> : <div class="framed">{mine.map((r) => <RuleItem key={r.arn} rule={r} open={r.arn === asked || all.length <= 3} />)}</div>}
                    </Section>
                );
            })}
            <Ask rules={all.filter((r) => r.pattern !== null)} />
        </div>
    );
}
