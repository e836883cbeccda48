// The frame around every page: navigation, search, connection, theme and language, and which page an address shows.
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { signal } from '@preact/signals';
import { token, tokenWanted, useToken } from './api.js';
import { duration } from './format.js';
import { chooseLanguage, language, number, t, type Key } from './i18n.js';
import { helpOpen, startKeyboard } from './keyboard.js';
import { connection, health, now, position, reconnect, startLive } from './live.js';
import { initialTheme, saveTheme, type Theme } from './preferences.js';
import { location, match, navigate, startRouter } from './router.js';
import { Dialog, Empty, Icon, useTitle } from './ui.js';
import { DeliveriesPage, DeliveryPage } from './pages/deliveries.js';
import { EventsPage } from './pages/events.js';
import { ExecutionPage } from './pages/execution.js';
import { IncidentPage, IncidentsPage } from './pages/incidents.js';
import { OverviewPage } from './pages/overview.js';
import { PipelinePage } from './pages/pipeline.js';
import { RulesPage } from './pages/rules.js';
import { SearchPage } from './pages/search.js';

const theme = signal<Theme>(initialTheme());

function Page() {
    const { path } = location.value;
    if (path === '/') return <OverviewPage />;
    if (path === '/incidents') return <IncidentsPage />;
    if (path === '/deliveries') return <DeliveriesPage />;
    if (path === '/events') return <EventsPage />;
    if (path === '/rules') return <RulesPage />;
    if (path === '/search') return <SearchPage />;
    const pipeline = match('/pipelines/{name}', path);
    if (pipeline) return <PipelinePage key={path} name={pipeline.name!} />;
    const execution = match('/executions/{id}', path);
    if (execution) return <ExecutionPage key={path} id={execution.id!} />;
    const incident = match('/incidents/{id}', path);
    if (incident) return <IncidentPage key={path} id={incident.id!} />;
    const delivery = match('/deliveries/{id}', path);
    if (delivery) return <DeliveryPage key={path} id={delivery.id!} />;
    return <Lost />;
}

function Lost() {
    useTitle(t('common.notFound'));
    return <Empty icon="search" title={t('common.notFound')} hint={t('common.notFound.hint')}><a class="button" href="/">{t('common.toOverview')}</a></Empty>;
}

function Navigation() {
    const { path } = location.value;
    const h = health.value;
    const items: [string, Key, 'overview' | 'incident' | 'delivery' | 'event' | 'rule', boolean, number, string][] = [
        ['/', 'nav.overview', 'overview', path === '/' || path.startsWith('/pipelines') || path.startsWith('/executions'), 0, 'o'],
        ['/incidents', 'nav.incidents', 'incident', path.startsWith('/incidents'), h?.openIncidents ?? 0, 'i'],
        ['/deliveries', 'nav.deliveries', 'delivery', path.startsWith('/deliveries'), h?.deadDeliveries ?? 0, 'd'],
        ['/events', 'nav.events', 'event', path.startsWith('/events'), 0, 'e'],
        ['/rules', 'nav.rules', 'rule', path.startsWith('/rules'), 0, 'r'],
    ];
    return (
        <nav class="side" aria-label={t('nav.main')}>
            <a class="brand" href="/" aria-label="Waybill"><Brand /><span>Waybill</span></a>
            <ul>
                {items.map(([href, key, icon, here, count, letter]) => (
                    <li key={href}>
                        <a href={href} aria-current={here ? 'page' : undefined}>
                            <Icon name={icon} /><span class="side-text">{t(key)}</span>
                            {count > 0 ? <span class="count">{number(count)}</span> : <span class="keys" aria-hidden="true"><kbd>g</kbd><kbd>{letter}</kbd></span>}
                        </a>
                    </li>
                ))}
            </ul>
            <Foot />
        </nav>
    );
}

function Brand() {
    return (
        <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="8" class="brand-box" />
            <path d="M7 11l4.5 11L16 13l4.5 9L25 11" class="brand-line" /><circle cx="25" cy="10" r="3" class="brand-dot" />
        </svg>
    );
}

function Foot() {
    const h = health.value;
    return (
        <div class="side-foot">
            {position.value !== null && <p class="num">{t('live.position', { n: position.value })}</p>}
            {h && h.history.lagMs >= 1000 && <p>{t('live.lag', { time: duration(h.history.lagMs) })}</p>}
            {h && <p>{h.version}</p>}
            {token.value !== null && <button type="button" class="text-button" onClick={() => useToken(null)}>{t('token.forget')}</button>}
        </div>
    );
}

function SearchBox() {
    const query = location.value.path === '/search' ? location.value.query.get('q') ?? '' : '';
    const [text, set] = useState(query);
    useEffect(() => set(query), [query]);
    const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
    const go = (value: string) => {
        clearTimeout(timer.current);
        const here = location.value.path === '/search';
        navigate(`/search?q=${encodeURIComponent(value.trim())}`, { replace: here });
    };
    return (
        <form class="search-box" role="search" onSubmit={(e) => { e.preventDefault(); go(text); }}>
            <Icon name="search" />
            <input type="search" name="q" data-search aria-label={t('search.placeholder')} placeholder={t('search.placeholder')} value={text} autoComplete="off" spellcheck={false}
                onInput={(e) => {
                    const value = e.currentTarget.value;
                    set(value);
                    if (location.value.path !== '/search') return;
                    clearTimeout(timer.current);
                    timer.current = setTimeout(() => go(value), 200);
                }} />
            <kbd aria-hidden="true">/</kbd>
        </form>
    );
}

function Connection() {
    const { phase } = connection.value;
    const word: Key = phase === 'live' ? 'live.live' : phase === 'waiting' ? 'live.offline' : phase === 'connecting' ? 'live.connecting' : 'live.idle';
    return <span class={`connection ${phase}`} role="status"><i aria-hidden="true" />{t(word)}</span>;
}

function ThemeButton() {
    const next: Record<Theme, Theme> = { auto: 'light', light: 'dark', dark: 'auto' };
    const icon = theme.value === 'auto' ? 'auto' : theme.value === 'light' ? 'sun' : 'moon';
    const label = `${t('theme.label')}: ${t(`theme.${theme.value}`)}`;
    return (
        <button type="button" class="icon-button" data-theme-toggle aria-label={label} title={label}
            onClick={() => { theme.value = next[theme.value]; saveTheme(theme.value); }}><Icon name={icon} /></button>
    );
}

function LanguageButton() {
    const other = language.value === 'en' ? 'ko' : 'en';
    return (
        <button type="button" class="icon-button language" data-language-toggle lang={other} aria-label={other === 'ko' ? '한국어로 보기' : 'View in English'}
            title={other === 'ko' ? '한국어' : 'English'} onClick={() => chooseLanguage(other)}>{other === 'ko' ? '한' : 'EN'}</button>
    );
}

// Stays away for the first moments of a break: most are over before anybody needs to know.
function Banner() {
    const { phase, retryAt, failures } = connection.value;
    const h = health.value;
    const at = position.value;
    if ((phase === 'waiting' || phase === 'connecting') && failures >= 2) {
        const left = retryAt === null ? 0 : Math.max(0, retryAt - now.value);
        return (
            <div class="banner bad" role="alert">
                <Icon name="incident" />
                <p>
                    <strong>{t('live.lost')}</strong> {at !== null && t('live.asOf', { n: at })}{' '}
                    <span class="num" aria-hidden="true">{phase === 'connecting' || left < 1000 ? t('live.retrying') : t('live.retryIn', { time: duration(left) })}</span>
                </p>
                <button type="button" class="button small" onClick={reconnect}>{t('live.retryNow')}</button>
            </div>
        );
    }
    if (h && !h.acceptingEvents) return <div class="banner warn" role="alert"><Icon name="incident" /><p>{t('live.refusing')}</p></div>;
    if (h && h.status !== 'ok') return <div class="banner warn" role="status"><Icon name="incident" /><p>{t('live.degraded')}</p></div>;
    return null;
}

function Help() {
    const rows: [string[], Key, boolean?][] = [
        [['/'], 'help.search'], [['f'], 'help.filter'], [['j', 'k'], 'help.move'], [['Enter'], 'help.open'],
        [['g', 'o'], 'help.goOverview', true], [['g', 'i'], 'help.goIncidents', true], [['g', 'd'], 'help.goDeliveries', true], [['g', 'e'], 'help.goEvents', true], [['g', 'r'], 'help.goRules', true],
        [['p'], 'help.pause'], [['?'], 'help.help'], [['Esc'], 'help.close'],
    ];
    return (
        <Dialog title={t('help.title')} onClose={() => { helpOpen.value = false; }}>
            <dl class="help">
                {rows.map(([keys, key, then]) => (
                    <div key={key}><dt>{t(key)}</dt><dd>{keys.map((k, i) => <>{i > 0 && then && <span class="dim">{t('help.then')}</span>}<kbd>{k}</kbd></>)}</dd></div>
                ))}
            </dl>
        </Dialog>
    );
}

function TokenForm() {
    const [text, set] = useState('');
    const wrong = token.value !== null;
    useTitle(t('token.title'));
    return (
        <main class="sign-in">
            <form onSubmit={(e) => { e.preventDefault(); if (text.trim() !== '') useToken(text.trim()); }}>
                <Brand />
                <h1>{t('token.title')}</h1>
                <p>{t('token.hint')}</p>
                <label>{t('token.label')}<input type="password" name="token" autoComplete="current-password" autofocus value={text} aria-invalid={wrong} onInput={(e) => set(e.currentTarget.value)} /></label>
                {wrong && <p class="form-error" role="alert"><Icon name="incident" />{t('token.wrong')}</p>}
                <button class="button primary" type="submit">{t('token.submit')}</button>
                <div class="sign-in-foot"><ThemeButton /><LanguageButton /></div>
            </form>
        </main>
    );
}

function App() {
    if (tokenWanted.value) return <TokenForm />;
    return (
        <div class="app">
            <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById('main')?.focus(); }}>{t('app.skip')}</a>
            <Navigation />
            <div class="column">
                <div class="top">
                    <SearchBox />
                    <div class="top-end">
                        <Connection />
                        <button type="button" class="icon-button" aria-label={t('nav.help')} title={`${t('nav.help')} (?)`} onClick={() => { helpOpen.value = true; }}><Icon name="help" /></button>
                        <ThemeButton />
                        <LanguageButton />
                    </div>
                </div>
                <Banner />
                <main id="main" tabIndex={-1}><Page /></main>
            </div>
            {helpOpen.value && <Help />}
        </div>
    );
}

startRouter();
startKeyboard();
startLive();
render(<App />, document.getElementById('app')!);
