// One question to everything: pipelines, executions, commits, people, incidents. It follows the typing in the search box.
import { url, type SearchResult } from '../api.js';
import { t, tn } from '../i18n.js';
import { shortId } from '../logic.js';
import { link, location } from '../router.js';
import { Ago, Empty, Failure, Icon, PageHead, Skeleton, StatusIcon, useQuery, useTitle } from '../ui.js';

function where(result: SearchResult): string {
    if (result.type === 'incident' && result.incidentId) return link.incident(result.incidentId);
    if (result.type === 'execution' && result.executionId) return link.execution(result.executionId);
    return link.pipeline(result);
}

export function SearchPage() {
    const q = (location.value.query.get('q') ?? '').trim();
    useTitle(q || null, t('search.title'));
    const page = useQuery<{ results: SearchResult[] }>(q === '' ? null : url('/api/v1/search', { q }));
    return (
        <div class="page">
            <PageHead title={t('search.title')}>{page.data && q !== '' && <p class="sub" role="status">{tn('search.results', page.data.results.length, { q })}</p>}</PageHead>
            {q === '' ? <Empty icon="search" title={t('search.start')} hint={t('search.start.hint')} />
                : page.error && !page.data ? <Failure error={page.error} retry={page.reload} />
                : !page.data ? <Skeleton />
                : page.data.results.length === 0 ? <Empty icon="search" title={t('search.none', { q })} hint={t('search.none.hint')} />
                : (
                    <ul class="rows framed">
                        {page.data.results.map((r, i) => (
                            <li class="line search-line" key={`${r.type}/${r.executionId ?? r.incidentId ?? r.pipeline}/${i}`}>
                                {r.type === 'incident' ? <span class={`line-icon ${r.status === 'open' ? 's-Failed' : 's-Succeeded'}`}><Icon name="incident" /></span> : <StatusIcon status={r.status} />}
                                <span class="line-kind">{t(r.type === 'incident' ? 'incidents.kind' : r.type === 'execution' ? 'execution.kind' : 'pipeline.kind')}</span>
                                <span class="line-main"><a class="row-link" data-nav href={where(r)}>{r.pipeline}</a><span class="dim">{r.type === 'pipeline' ? `${r.account} · ${r.region}${r.snippet ? ` · ${r.snippet}` : ''}` : r.snippet}</span></span>
                                <span class="line-id mono">{r.type === 'incident' ? r.incidentId : shortId(r.executionId)}</span>
                                <span class="line-time"><Ago time={r.startTime} /></span>
                            </li>
                        ))}
                    </ul>
                )}
        </div>
    );
}

