// The console in a real browser, against the mock (started here) or, with --base-url, against a running server.
//   node test/browser.mjs [--base-url URL] [--shots DIR] [--only NAME]
// Each check opens its own page. Any console error, uncaught exception or CSP violation fails the check it happened in.
// Against a real server only the checks that need no levers of the mock are run, and they need at least one execution there.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const option = (name) => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? null : process.argv[at + 1];
};
const outside = option('base-url');
const shots = option('shots');
const only = option('only');
if (shots) mkdirSync(shots, { recursive: true });

const children = [];
function mock(...args) {
    const child = spawn(process.execPath, [join(here, '../mock/server.mjs'), '--port', '0', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    return new Promise((resolve, reject) => {
        let text = '';
        child.stdout.on('data', (chunk) => {
            text += chunk;
            const found = /(http:\/\/\S+?)\/\s/.exec(text);
            if (found) resolve(found[1]);
        });
        child.on('exit', (code) => reject(new Error(`the mock ended with ${code}`)));
    });
}
const lever = async (base, name, body = {}) => (await fetch(`${base}/api/v1/mock/${name}`, { method: 'POST', body: JSON.stringify(body) })).json();

const profile = mkdtempSync(join(tmpdir(), 'waybill-browser-'));
const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    viewport: { width: 1440, height: 900 },
    locale: 'en-GB',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// Lines the browser itself writes about answers we asked for (a 401, a refused stream) are no errors of the console.
const expected = /Failed to load resource|net::ERR_/;

const checks = [];
const check = (name, run, { real = false } = {}) => checks.push({ name, run, real });
const shot = async (page, name) => { if (shots) await page.screenshot({ path: join(shots, `${name}.png`) }); };

let base;
let large;

check('overview shows every pipeline, failing ones first', async (page) => {
    await page.goto(base);
    await page.waitForSelector('[data-pipeline]');
    const statuses = await page.$$eval('[data-pipeline]', (rows) => rows.map((r) => r.dataset.status));
    assert.ok(statuses.length > 0);
    const firstOther = statuses.findIndex((s) => s !== 'Failed');
    assert.ok(firstOther < 0 || !statuses.slice(firstOther).includes('Failed'), `failing first, not ${statuses}`);
    assert.match(await page.title(), /Overview · Waybill/);
    await page.waitForSelector('.connection.live');
    await shot(page, 'overview-light');
}, { real: true });

check('stage cells change colour as events arrive', async (page) => {
    await page.goto(`${base}/?q=checkout&sort=name`);
    const cell = page.locator('[data-pipeline="checkout"] [data-stage="Source"]');
    await cell.waitFor();
    await page.waitForSelector('.connection.live');
    const colour = () => cell.evaluate((e) => getComputedStyle(e).borderColor + getComputedStyle(e).color);
    assert.equal(await cell.getAttribute('data-status'), 'Succeeded');
    const before = await colour();
    await page.evaluate(() => { document.querySelector('[data-pipeline="checkout"]').dataset.sameElement = 'yes'; });
    await lever(base, 'start', { pipeline: 'checkout', fail: 1 });
    await lever(base, 'step', { pipeline: 'checkout', events: 1 });
    await page.waitForSelector('[data-pipeline="checkout"] [data-stage="Source"][data-status="InProgress"]');
    await page.waitForFunction((old) => { const e = document.querySelector('[data-pipeline="checkout"] [data-stage="Source"]'); return getComputedStyle(e).borderColor + getComputedStyle(e).color !== old; }, before);
    await lever(base, 'finish', { pipeline: 'checkout' });
    await page.waitForSelector('[data-pipeline="checkout"][data-status="Failed"]');
    assert.equal(await page.getAttribute('[data-pipeline="checkout"]', 'data-same-element'), 'yes', 'the row is changed, not built anew');
});

check('keyboard: search, lists, pages, help', async (page) => {
    await page.goto(base);
    await page.waitForSelector('[data-pipeline]');
    await page.keyboard.press('/');
    assert.ok(await page.evaluate(() => document.activeElement.matches('[data-search]')), '/ goes to search');
    await page.keyboard.press('Escape');
    assert.ok(await page.evaluate(() => document.activeElement === document.body), 'Escape leaves the field');
    const index = () => page.evaluate(() => Number(document.activeElement.closest('[data-index]')?.dataset.index ?? -1));
    await page.keyboard.press('j');
    assert.equal(await index(), 0);
    await page.keyboard.press('j');
    await page.keyboard.press('ArrowDown');
    assert.equal(await index(), 2);
    await page.keyboard.press('k');
    assert.equal(await index(), 1);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/(executions|pipelines)\//);
    await page.waitForSelector('.page-head h1');
    for (const [letter, path] of [['i', '/incidents'], ['d', '/deliveries'], ['e', '/events'], ['r', '/rules'], ['o', '/']]) {
        await page.keyboard.press('g');
        await page.keyboard.press(letter);
        await page.waitForFunction((p) => location.pathname === p, path);
    }
    await page.keyboard.press('?');
    await page.waitForSelector('dialog[open] .help');
    await shot(page, 'help');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', { state: 'detached' });
}, { real: true });

check('a filter narrows the list and stays in the address', async (page) => {
    await page.goto(base);
    await page.waitForSelector('[data-pipeline]');
    await page.keyboard.press('f');
    await page.keyboard.type('payments');
    await page.waitForFunction(() => [...document.querySelectorAll('[data-pipeline]')].every((r) => r.dataset.pipeline.includes('payments')));
    assert.match(page.url(), /q=payments/);
    await page.reload();
    await page.waitForSelector('[data-pipeline^="payments"]');
    await page.goto(base);
    await page.click('[data-group="failing"]');
    await page.waitForFunction(() => { const r = [...document.querySelectorAll('[data-pipeline]')]; return r.length > 0 && r.every((x) => x.dataset.status === 'Failed'); });
    await page.goto(`${base}/?q=nothing-has-this-name`);
    await page.waitForSelector('.empty');
});

check('light, dark and as the system', async (page) => {
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.goto(base);
    await page.waitForSelector('[data-pipeline]');
    const ground = () => page.evaluate(() => getComputedStyle(document.querySelector('.column')).backgroundColor);
    const dark = await ground();
    await page.click('[data-theme-toggle]');
    const light = await ground();
    assert.notEqual(dark, light);
    await page.click('[data-theme-toggle]');
    await page.emulateMedia({ colorScheme: 'light' });
    assert.equal(await ground(), dark, 'chosen dark stays dark');
    await page.reload();
    await page.waitForSelector('[data-pipeline]');
    assert.equal(await ground(), dark, 'and is remembered');
    await page.waitForTimeout(2500);
    await shot(page, 'overview-dark');
    if (!outside) {
        await page.goto(`${base}/executions/showcase`);
        await page.waitForSelector('[data-slope]');
        await page.evaluate(() => { document.querySelector('#timeline').scrollIntoView(); });
        await shot(page, 'execution-dark');
    }
    await page.click('[data-theme-toggle]');
}, { real: true });

check('Korean', async (page) => {
    await page.goto(base);
    await page.waitForSelector('[data-language-toggle]');
    await page.click('[data-language-toggle]');
    await page.waitForFunction(() => document.documentElement.lang === 'ko');
    assert.match(await page.textContent('h1'), /파이프라인/);
    assert.match(await page.title(), /개요/);
    await page.reload();
    await page.waitForSelector('[data-pipeline]');
    assert.equal(await page.getAttribute('html', 'lang'), 'ko');
    await page.waitForTimeout(2500);
    await shot(page, 'overview-ko');
    if (!outside) {
        await page.goto(`${base}/executions/showcase?tab=why`);
        await page.waitForSelector('.decision');
        await shot(page, 'execution-ko');
        await page.goto(`${base}/deliveries?status=dead`);
        await page.waitForSelector('[data-redrive]');
        await shot(page, 'deliveries-ko');
    }
    await page.click('[data-language-toggle]');
    await page.waitForFunction(() => document.documentElement.lang === 'en');
}, { real: true });

check('an execution: graph, timeline, late and duplicate events, reasons', async (page) => {
    await page.goto(`${base}/executions/showcase`);
    await page.waitForSelector('[data-slope]');
    assert.ok(await page.locator('tr[data-outcome="late"] .mark.late').count() > 0, 'late ones are marked');
    assert.ok(await page.locator('tr[data-outcome="duplicate"] .mark.duplicate').count() > 0, 'duplicates are marked');
    const rows = await page.locator('.events-table tbody tr').count();
    assert.equal(await page.locator('[data-slope] g').count(), rows, 'each event is joined to its true place');
    assert.ok(await page.locator('[data-slope] g.crosses').count() > 0);
    assert.ok(await page.locator('.gap-list li').count() > 0, 'the gap is told');
    assert.ok(await page.locator('.action.stacked').count() > 0, 'retried actions lie on a stack');
    assert.ok(await page.locator('.gantt.action').count() > 3);
    await shot(page, 'execution-light');
    await page.locator('.tabs').scrollIntoViewIfNeeded();
    await page.evaluate(() => { document.querySelector('.tabs').scrollIntoView(); });
    await shot(page, 'execution-events');
    await page.click('[data-value="order"]');
    await page.waitForFunction(() => location.search.includes('by=order'));
    const times = await page.$$eval('.events-table tbody tr td:nth-child(3)', (cells) => cells.map((c) => c.title));
    assert.deepEqual(times, times.slice().sort(), 'true order is the order of time');
    await page.click('[data-tab="why"]');
    await page.waitForSelector('.decision');
    assert.ok(await page.locator('.decision.planned').count() > 0);
    assert.ok(await page.locator('.decision.nothing').count() > 0);
    assert.ok(await page.locator('.decision code').count() > 0, 'with the line of policy');
    await shot(page, 'execution-why');
    await page.click('[data-tab="json"]');
    await page.waitForSelector('.json');
    assert.match(await page.textContent('.json'), /"executionId"/);
});

check('an execution page follows its execution', async (page) => {
    const { executionId } = await lever(base, 'start', { pipeline: 'identity', fail: null });
    await page.goto(`${base}/executions/${executionId}`);
    await page.waitForSelector('.page-head .pill.s-InProgress');
    await page.waitForSelector('.connection.live');
    await lever(base, 'finish', { pipeline: 'identity' });
    await page.waitForSelector('.page-head .pill.s-Succeeded');
});

check('the raw event opens from its link', async (page) => {
    await page.goto(`${base}/executions/showcase`);
    await page.waitForSelector('.events-table tbody tr');
    await page.click('.events-table tbody tr:nth-child(3) a[data-nav]');
    await page.waitForSelector('dialog[open] .json');
    assert.match(await page.textContent('dialog .json'), /CodePipeline/);
    await shot(page, 'event-drawer');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', { state: 'detached' });
});

check('a pipeline, its durations and its executions', async (page) => {
    await page.goto(`${base}/pipelines/checkout`);
    await page.waitForSelector('.execution-line');
    assert.ok(await page.locator('.bar').count() > 5);
    await shot(page, 'pipeline');
});

check('pipelines of one name in two accounts are told apart', async (page) => {
    const ask = async (path) => (await fetch(`${base}/api/v1${path}`)).json();
    const key = (p) => `${p.account}/${p.region}/${p.pipeline}`;
    const { pipelines } = await ask('/pipelines?limit=1000');
    const name = pipelines.find((p) => pipelines.some((q) => q !== p && q.pipeline === p.pipeline && q.region === p.region))?.pipeline;
    assert.ok(name, 'there is such a pair');
    const same = pipelines.filter((p) => p.pipeline === name);
    const rows = page.locator(`[data-pipeline="${name}"]`);
    await page.goto(`${base}/?q=${name}`);
    await page.waitForSelector(`[data-pipeline="${name}"]`);
    const shown = await rows.locator('.row-region').allTextContents();
    for (const p of same) assert.ok(shown.includes(`${p.region} · ${p.account}`), `the overview shows the account: ${shown}`);
    await page.goto(`${base}/pipelines/${name}`);
    await page.waitForSelector('li[data-place]');
    assert.deepEqual((await page.$$eval('li[data-place]', (all) => all.map((e) => e.dataset.place))).sort(), same.map(key).sort());
    await shot(page, 'pipeline-places');
    for (const p of same) {
        await page.goto(`${base}/pipelines/${name}`);
        await page.click(`li[data-place="${key(p)}"] a`);
        await page.waitForSelector('.line a[href^="/executions/"]');
        const mine = (await ask(`/pipelines/${name}/executions?account=${p.account}&region=${p.region}&limit=50`)).executions.map((e) => `/executions/${e.executionId}`);
        for (const href of await page.$$eval('.line a[href^="/executions/"]', (all) => all.map((e) => e.getAttribute('href')))) assert.ok(mine.includes(href), `${href} is an execution of ${key(p)}`);
        assert.match(await page.textContent('.sub'), new RegExp(p.account));
        assert.deepEqual((await page.$$eval('a[data-place]', (all) => all.map((e) => e.dataset.place))).sort(), same.filter((q) => q !== p).map(key).sort());
    }
    await shot(page, 'pipeline-one-of-two');
}, { real: true });

check('incidents, and the page of one', async (page) => {
    await page.goto(`${base}/incidents`);
    await page.waitForSelector('[data-incident]');
    await shot(page, 'incidents');
    await page.click('[data-incident] a');
    await page.waitForSelector('.callout');
    await page.waitForSelector('.decision');
    await shot(page, 'incident');
});

check('a dead delivery is redriven after a question', async (page) => {
    await page.goto(`${base}/deliveries?status=dead`);
    await page.waitForSelector('[data-redrive]');
    await shot(page, 'deliveries');
    const id = await page.locator('[data-delivery]').first().getAttribute('data-delivery');
    await page.locator('[data-redrive]').first().click();
    await page.waitForSelector('dialog[open]');
    await shot(page, 'redrive');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', { state: 'detached' });
    assert.equal(await page.locator(`[data-delivery="${id}"] [data-delivery-status="dead"]`).count(), 1, 'nothing happened without a yes');
    await page.locator('[data-redrive]').first().click();
    await page.click('[data-confirm]');
    await page.waitForSelector(`[data-delivery="${id}"]`, { state: 'detached' });
    await page.goto(`${base}/deliveries/${id}`);
    await page.waitForSelector('.letter');
    assert.equal(await page.locator('.page-head [data-delivery-status="dead"]').count(), 0);
    await shot(page, 'delivery');
});

check('events: live, paused, filtered', async (page) => {
    await page.goto(`${base}/events`);
    await page.waitForSelector('.event-row');
    const first = () => page.textContent('.event-row .row-link');
    const before = await first();
    await page.waitForFunction((old) => document.querySelector('.event-row .row-link').textContent !== old, before);
    await shot(page, 'events');
    await page.click('[data-pause]');
    const held = await first();
    await page.waitForFunction(() => /[1-9]\d* new event/.test(document.querySelector('.toolbar-note').textContent));
    assert.equal(await first(), held, 'nothing moves while paused');
    await page.click('[data-pause]');
    await page.waitForFunction((old) => document.querySelector('.event-row .row-link').textContent !== old, held);
    await page.fill('[data-filter]', 'SUCCEEDED');
    await page.waitForFunction(() => { const r = [...document.querySelectorAll('.event-row .state')]; return r.length > 0 && r.every((x) => x.textContent === 'SUCCEEDED'); });
});

check('rules: buses, patterns, who serves the targets, and why an event matches', async (page) => {
    await page.goto(`${base}/rules`);
    const rule = page.locator('[data-rule="failed-pipelines"]');
    await rule.waitFor();
    assert.equal(await rule.locator('.rule-body').isVisible(), false, 'closed until it is asked for');
    await rule.locator('summary').click();
    assert.match(await rule.locator('.json').textContent(), /"state": \[/);
    assert.equal(await rule.locator('[data-target="queue"] [data-served]').getAttribute('data-served'), 'yes');
    assert.equal(await rule.locator('[data-target="page"] [data-served]').getAttribute('data-served'), 'no');
    assert.match(await rule.locator('[data-target="page"]').textContent(), /no endpoint is configured/);
    assert.equal(await page.locator('section', { has: page.locator('h2', { hasText: /^orders$/ }) }).locator('[data-rule]').count(), 1, 'each bus has its own rules');
    const ask = async (event) => {
        await page.fill('[data-explain-event]', typeof event === 'string' ? event : JSON.stringify(event, null, 2));
        await page.click('[data-explain]');
    };
    await ask({ source: 'aws.codepipeline', 'detail-type': 'CodePipeline Pipeline Execution State Change', detail: { state: 'STARTED' } });
    await page.waitForSelector('[data-matched="no"]');
    assert.equal(await page.getAttribute('[data-clause="detail.state"]', 'data-outcome'), 'differs');
    assert.match(await page.textContent('[data-clause="detail.state"]'), /"STARTED"/);
    assert.equal(await page.getAttribute('[data-clause="source"]', 'data-outcome'), 'matched');
    await page.locator('[data-matched]').scrollIntoViewIfNeeded();
    await shot(page, 'rules-explained');
    await page.evaluate(() => { document.getElementById('main').scrollTop = 0; });
    await shot(page, 'rules');
    await ask({ source: 'aws.codepipeline', 'detail-type': 'CodePipeline Pipeline Execution State Change', detail: { state: 'FAILED' } });
    await page.waitForSelector('[data-matched="yes"]');
    await ask('{"source": ');
    await page.waitForSelector('.ask .form-error');
    await page.selectOption('[data-explain-rule]', { label: 'to-shop (default, 123456789012, eu-central-1)' });
    await page.waitForSelector('.ask .form-error', { state: 'detached' });
    await ask({ source: 'shop.web' });
    await page.waitForSelector('[data-matched="yes"]');
    assert.match(page.url(), /rule=/);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.click('[data-language-toggle]');
    await page.waitForFunction(() => document.documentElement.lang === 'ko');
    assert.match(await page.textContent('h1'), /규칙/);
    await shot(page, 'rules-dark-ko');
    await page.click('[data-language-toggle]');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 400, height: 800 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 400), 'nothing sticks out');
    await shot(page, 'rules-small');
});

check('the rules of this server', async (page) => {
    const { rules } = await (await fetch(`${base}/api/v1/rules`)).json();
    await page.goto(`${base}/rules`);
    if (rules.length === 0) await page.waitForSelector('.empty');
    else await page.waitForSelector('[data-rule]');
    assert.deepEqual((await page.$$eval('[data-rule]', (all) => all.map((e) => e.dataset.rule))).sort(), rules.map((r) => r.name).sort());
    const lost = rules.flatMap((r) => r.targets).filter((x) => !x.served).length;
    assert.equal(await page.locator('[data-target] [data-served="no"]').count(), lost, 'each target that nothing serves is marked');
    if (!rules.some((r) => r.pattern !== null)) return;
    await page.fill('[data-explain-event]', '{"no rule asks": "for this"}');
    await page.click('[data-explain]');
    await page.waitForSelector('[data-matched="no"] [data-outcome="absent"]');
    await shot(page, 'rules-of-this-server');
}, { real: true });

check('search', async (page) => {
    await page.goto(base);
    await page.waitForSelector('[data-search]');
    await page.keyboard.press('/');
    await page.keyboard.type('checkout');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.search-line');
    await shot(page, 'search');
    await page.goto(`${base}/search?q=zzzzzzzz`);
    await page.waitForSelector('.empty');
}, { real: false });

check('5,000 pipelines: few rows in the page, scrolling works, updates arrive', async (page) => {
    await page.goto(`${large}/?sort=name`);
    await page.waitForSelector('[data-pipeline]');
    const count = () => page.locator('[data-pipeline]').count();
    assert.ok(await count() < 80, `${await count()} rows are drawn`);
    assert.match(await page.textContent('.toolbar-note'), /5,000/);
    await page.waitForTimeout(2500);
    await shot(page, 'overview-5000');
    const last = await page.evaluate(() => { const m = document.getElementById('main'); m.scrollTop = m.scrollHeight; return m.scrollHeight; });
    assert.ok(last > 5000 * 40);
    await page.waitForSelector('[data-index="4999"]');
    assert.ok(await count() < 80);
    await page.keyboard.press('k');
    await page.waitForFunction(() => document.activeElement.closest('[data-index]')?.dataset.index === '4999');
    const longest = await page.evaluate(async () => {
        const main = document.getElementById('main');
        const all = [];
        for (let i = 0; i < 60; i++) {
            const start = performance.now();
            main.scrollTop = (i * 7919) % main.scrollHeight;
            await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
            all.push(performance.now() - start);
        }
        all.sort((a, b) => a - b);
        return [all[30], all[59]].map(Math.round);
    });
    console.log(`    60 jumps through 5,000 rows, two frames each: ${longest[0]} ms in the middle, ${longest[1]} ms at worst`);
    assert.ok(await count() < 80);
    await page.evaluate(() => { document.getElementById('main').scrollTop = 0; });
    await page.waitForSelector('[data-index="0"]');
    const name = await page.evaluate(() => document.querySelector('[data-pipeline][data-status="Succeeded"]').dataset.pipeline);
    await lever(large, 'start', { pipeline: name });
    await page.waitForSelector(`[data-pipeline="${name}"][data-status="InProgress"]`);
});

check('a lost server shows a banner with the position, and recovers', async (page) => {
    await page.goto(base);
    await page.waitForSelector('.connection.live');
    await lever(base, 'refuse', { streams: true });
    await page.waitForSelector('.banner.bad');
    assert.match(await page.textContent('.banner.bad'), /position [\d,]+/);
    await shot(page, 'banner');
    await page.click('.banner button');
    await page.waitForSelector('.banner.bad');
    await lever(base, 'refuse', { streams: false });
    await page.waitForSelector('.connection.live');
    await page.waitForSelector('.banner.bad', { state: 'detached' });
    await lever(base, 'start', { pipeline: 'catalog' });
    await page.fill('[data-filter]', 'catalog');
    await page.waitForSelector('[data-pipeline="catalog"][data-status="InProgress"]');
});

check('a token is asked for, refused when wrong, kept for the tab', async (page) => {
    const guarded = await mock('--token', 'right', '--pipelines', '5');
    await page.goto(guarded);
    await page.waitForSelector('input[name="token"]');
    await shot(page, 'token');
    await page.fill('input[name="token"]', 'wrong');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.form-error');
    await page.fill('input[name="token"]', 'right');
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-pipeline]');
    await page.waitForSelector('.connection.live');
    await page.reload();
    await page.waitForSelector('[data-pipeline]');
});

check('an unknown address and an unknown execution say so', async (page) => {
    await page.goto(`${base}/no/such/page`);
    await page.waitForSelector('.empty');
    await page.goto(`${base}/executions/00000000-0000-4000-8000-000000000000`);
    await page.waitForSelector('.empty');
}, { real: true });

check('small window', async (page) => {
    await page.setViewportSize({ width: 400, height: 800 });
    await page.goto(base);
    await page.waitForSelector('[data-pipeline]');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 400), 'nothing sticks out');
    await page.waitForTimeout(2500);
    await shot(page, 'overview-small');
    if (!outside) {
        await page.goto(`${base}/executions/showcase`);
        await page.waitForSelector('[data-slope]');
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 400), 'nothing sticks out');
        await shot(page, 'execution-small');
    }
}, { real: true });

let failed = 0;
try {
    base = outside ?? (await mock('--rate', '12'));
    if (!outside && (!only || '5,000'.includes(only) || only.includes('5,000'))) large = await mock('--pipelines', '5000');
    for (const { name, run, real } of checks) {
        if ((outside && !real) || (only && !name.includes(only))) continue;
        const page = await browser.newPage();
        page.setDefaultTimeout(15_000);
        const problems = [];
        page.on('console', (m) => { if (m.type() === 'error' && !expected.test(m.text())) problems.push(m.text()); });
        page.on('pageerror', (e) => problems.push(String(e)));
        await page.addInitScript(() => document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`)));
        try {
            await run(page);
            assert.deepEqual(problems, []);
            console.log(`ok    ${name}`);
        } catch (error) {
            failed += 1;
            console.log(`FAIL  ${name}\n      ${String(error.stack ?? error).split('\n').slice(0, 12).join('\n      ')}${problems.length ? `\n      page said: ${problems.join(' | ')}` : ''}`);
            await shot(page, `failed-${failed}`);
        }
        await page.close();
    }
} finally {
    await browser.close();
    for (const child of children) child.kill();
    rmSync(profile, { recursive: true, force: true });
}
console.log(failed === 0 ? 'all passed' : `${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
