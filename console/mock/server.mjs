// A stand-in for the server while working on the console: the same API with believable, moving data, from one seed.
// It keeps executions the way the server does (state from a set of events; late and duplicate ones change nothing), so that the
// pages can be tried against disorder. Nothing is stored. See console/README.md for the options.
import { createServer } from 'node:http';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const option = (name, fallback) => {
    const at = process.argv.indexOf(`--${name}`);
    if (at < 0) return fallback;
    const value = process.argv[at + 1];
    return value === undefined || value.startsWith('--') ? true : value;
};
const port = Number(option('port', 8787));
const pipelineCount = Number(option('pipelines', 100));
const historyLength = Number(option('history', pipelineCount > 500 ? 2 : 24));
const eventsPerSecond = Number(option('rate', Math.max(4, Math.min(200, pipelineCount / 12))));
const wantedToken = option('token', null);
const dist = String(option('dist', join(here, '../dist')));
const still = option('still', false) === true;

function random(seed) {
    let a = seed >>> 0;
    return () => {
        a = (a + 0x6d2b79f5) >>> 0;
        let t = Math.imul(a ^ (a >>> 15), 1 | a);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
}
const rnd = random(Number(option('seed', 7)));
const pick = (list) => list[Math.floor(rnd() * list.length)];
const hex = (n) => Array.from({ length: n }, () => Math.floor(rnd() * 16).toString(16)).join('');
const uuid = () => `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`;
const iso = (ms) => (ms === null || ms === undefined ? null : new Date(ms).toISOString());

// ------------------------------------------------------------------------------------------------ what pipelines look like
const services = ['checkout', 'payments-api', 'identity', 'catalog', 'search-index', 'web-storefront', 'ios-app', 'android-app', 'notifications',
    'ledger', 'fraud-scoring', 'pricing', 'inventory', 'shipping-rates', 'media-transcoder', 'data-lake-ingest', 'etl-orders', 'reporting',
    'admin-portal', 'feature-flags', 'rate-limiter', 'edge-config', 'geo-lookup', 'email-renderer', 'webhooks', 'billing', 'tax-engine',
    'recommendations', 'ml-features', 'model-serving', 'chat-gateway', 'session-store', 'audit-log', 'docs-site', 'design-system', 'infra-network',
    'infra-dns', 'terraform-core', 'cdn-rules', 'support-desk', 'partner-api', 'mobile-bff', 'returns', 'gift-cards', 'loyalty'];
const suffixes = ['', '-staging', '-eu', '-prod', '-canary', '-nightly'];
const shapes = [
    [['Source', ['Checkout']], ['Build', ['Compile', 'UnitTests']], ['Deploy', ['DeployProd']]],
    [['Source', ['Checkout']], ['Build', ['Compile', 'Lint']], ['Test', ['Integration', 'EndToEnd']], ['Staging', ['DeployStaging', 'SmokeTest']], ['Approve', ['ReleaseManager']], ['Production', ['DeployProd', 'Verify']]],
    [['Source', ['Checkout', 'Config']], ['Build', ['Image']], ['Scan', ['Vulnerabilities', 'Licences']], ['Deploy', ['Blue', 'SwitchTraffic']]],
    [['Source', ['Checkout']], ['Plan', ['TerraformPlan']], ['Apply', ['TerraformApply']]],
];
const providers = { Source: ['Source', 'CodeStarSourceConnection'], Build: ['Build', 'CodeBuild'], Plan: ['Build', 'CodeBuild'], Apply: ['Build', 'CodeBuild'],
    Test: ['Test', 'CodeBuild'], Scan: ['Test', 'CodeBuild'], Approve: ['Approval', 'Manual'], Staging: ['Deploy', 'ECS'], Deploy: ['Deploy', 'CodeDeploy'], Production: ['Deploy', 'ECS'] };
const messages = ['Round totals after tax, not before', 'Retry token refresh once on 401', 'Bump base image to bookworm', 'Drop unused index on orders.created_at',
    'Guard against empty cart in express checkout', 'Cache geo lookups for five minutes', '결제 취소 시 포인트 복원', 'Use streaming upload for large media', 'Fix flaky waiter in smoke test', 'Split worker pool per tenant'];
const people = [['Mina Park', 'mina@example.com', 'mpark'], ['Jonas Weber', 'jonas@example.com', 'jweber'], ['Aisha Khan', 'aisha@example.com', 'akhan'], ['이서연', 'seoyeon@example.com', 'sylee'], ['Tom Okafor', 'tom@example.com', 'tokafor']];
const failures = [['JobFailed', 'Build terminated with state FAILED: COMMAND_EXECUTION_ERROR while executing command: npm test. Reason: exit status 1'],
    ['DeploymentFailed', 'The deployment failed because 2 of 3 instances did not become healthy within 10 minutes'],
    ['ConfigurationError', 'Could not assume role arn:aws:iam::111122223333:role/deploy: access denied'], ['JobFailed', 'Timed out after 60 minutes while waiting for EndToEnd to finish']];

const pipelines = [];
const executions = new Map();
const incidents = new Map();
const deliveries = new Map();
const log = [];          // {position, receivedTime, duplicate, event, execution}
const streams = new Set();
const changed = new Set();
const backlog = [];
let position = 48_000;
let accepted = 0;
const startedAt = Date.now();

const twin = 7;
function makePipeline(index) {
    const service = services[index % services.length];
    const round = Math.floor(index / services.length);
    const name = round < suffixes.length ? service + suffixes[round] : `${service}-${String(round - suffixes.length + 1).padStart(3, '0')}`;
    const long = index === 9;
    const stages = long
        ? Array.from({ length: 14 }, (_, i) => [i === 0 ? 'Source' : i === 13 ? 'Production' : `Wave${String(i).padStart(2, '0')}`, i === 0 ? ['Checkout'] : ['Deploy', 'Bake']])
        : pick(shapes);
    const made = { pipeline: name, account: '111122223333', region: pick(['eu-west-1', 'eu-west-1', 'us-east-1', 'ap-northeast-2']), stages, executions: [], openIncident: null };
    // Two accounts have a pipeline of the same name in the same region.
    return index === twin ? { ...made, pipeline: pipelines[twin - 1].pipeline, region: pipelines[twin - 1].region, account: '444455556666' } : made;
}

// The events one execution would send, in true order. `fate` is where it fails (a stage index) or null.
function script(pipeline, start, fate, retry) {
    const id = uuid();
    const events = [];
    let at = start;
    const push = (scope, state, extra = {}) => events.push({ scope, state, time: Math.floor(at / 1000) * 1000, attempt: 1, ...extra });
    push('pipeline', 'STARTED');
    let attempt = 1;
    for (let s = 0; s < pipeline.stages.length; s++) {
        const [stageName, actions] = pipeline.stages[s];
        let tries = 1;
        for (;;) {
            at += 1000 + rnd() * 2000;
            push('stage', tries === 1 ? 'STARTED' : 'RESUMED', { stageName, attempt: tries });
            let failed = false;
            const base = at;
            let latest = at;
            actions.forEach((actionName, a) => {
                at = base + (a === 0 ? 500 : rnd() * 4000);
                const actionId = uuid();
                push('action', 'STARTED', { stageName, actionName, actionId, attempt: tries });
                at += stageName === 'Approve' ? 60_000 + rnd() * 240_000 : 8_000 + rnd() * (stageName === 'Source' ? 4_000 : 110_000);
                const fails = fate === s && a === actions.length - 1 && (tries === 1 || !retry);
                failed ||= fails;
                push('action', fails ? 'FAILED' : 'SUCCEEDED', { stageName, actionName, actionId, attempt: tries, failure: fails ? pick(failures) : null });
                latest = Math.max(latest, at);
            });
            at = latest + 1000;
            push('stage', failed ? 'FAILED' : 'SUCCEEDED', { stageName, attempt: tries });
            if (!failed) break;
            at += 1000;
            push('pipeline', 'FAILED', { attempt });
            if (!retry || tries > 1) return finish();
            at += 30_000 + rnd() * 60_000;
            attempt += 1;
            tries += 1;
            push('pipeline', 'STARTED', { attempt });
        }
    }
    at += 1000;
    push('pipeline', 'SUCCEEDED', { attempt });
    return finish();

    function finish() {
        events.sort((a, b) => a.time - b.time);
        events.forEach((e, i) => { e.order = i + 1; e.eventId = uuid(); });
        return { id, events, end: at };
    }
}

// True order to order of arrival: some come late, some twice.
function arrive(events, trouble) {
    const out = events.map((e, i) => ({ e, at: i + (rnd() < trouble ? 2 + rnd() * 5 : 0) }));
    events.forEach((e, i) => { if (rnd() < trouble * 0.7) out.push({ e, at: i + 0.5 + rnd() * 6, copy: true }); });
    return out.sort((a, b) => a.at - b.at);
}

const rank = { STARTED: 0, RESUMED: 0, STOPPING: 1, STOPPED: 2, SUPERSEDED: 2, CANCELED: 2, ABANDONED: 2, FAILED: 3, SUCCEEDED: 4 };
const word = { STARTED: 'InProgress', RESUMED: 'InProgress', STOPPING: 'Stopping', STOPPED: 'Stopped', SUPERSEDED: 'Superseded', CANCELED: 'Cancelled', FAILED: 'Failed', SUCCEEDED: 'Succeeded', ABANDONED: 'Abandoned' };

function makeExecution(pipeline, start, fate, retry, trouble) {
    const { id, events } = script(pipeline, start, fate, retry);
    const person = pick(people);
    const execution = {
        pipeline, id, arrivals: arrive(events, trouble), next: 0, seen: [], gaps: [], decisions: [], start,
        pipelineState: null, stageStates: new Map(), actionStates: new Map(), lastUpdate: start, end: null, lastRetryTime: null, stopReason: null,
        trigger: { type: pick(['Webhook', 'Webhook', 'CronPolling', 'StartPipelineExecution']), detail: `arn:aws:iam::111122223333:user/${person[2]}` },
        commit: { id: hex(40), message: pick(messages), url: `https://github.com/example/${pipeline.pipeline}/commit/x`, repository: `example/${pipeline.pipeline}`, branch: 'main', tag: null },
        author: { name: person[0], email: person[1], id: person[2] },
    };
    if (trouble > 0.3) {
        // One start is never heard of: the page must say so.
        const lost = execution.arrivals.findIndex((a) => a.e.scope === 'action' && a.e.state === 'STARTED' && !a.copy);
        const { e } = execution.arrivals[lost];
        execution.arrivals = execution.arrivals.filter((a) => a.e !== e);
        execution.gaps.push({ scope: 'action', stageName: e.stageName, actionName: e.actionName, actionExecutionId: e.actionId, attempt: e.attempt, kind: 'missing_start',
            text: `The action ${e.actionName} of ${e.stageName} ended, but its start was never received.` });
    }
    pipeline.executions.unshift(execution);
    executions.set(id, execution);
    return execution;
}

function plan(execution, item, kind, topic, target, subject, status, now) {
    const id = `d-${hex(12)}`;
    const { e } = item;
    const delivery = {
        deliveryId: id, kind, topic, target, urgent: topic === 'pipeline_failed', status, key: `${topic}/${execution.id}/${e.stageName ?? '-'}/${e.attempt}`,
        plannedTime: iso(now), nextAttemptTime: status === 'pending' ? iso(now + 20_000) : null, finishedTime: status === 'delivered' || status === 'dead' ? iso(now + 900) : null,
        attempts: status === 'dead' ? 8 : 1, possiblyTwice: rnd() < 0.05,
        lastError: status === 'dead' ? { code: 'smtp_550', text: '550 5.1.1 The email account that you tried to reach does not exist' } : null,
        reason: status === 'dead' ? 'permanent_failure' : null, pipeline: execution.pipeline.pipeline, account: execution.pipeline.account, region: execution.pipeline.region, executionId: execution.id,
        stageName: e.stageName ?? null, attempt: e.attempt, subject, planned: now,
        message: kind === 'notify' ? { subject, body: `${execution.pipeline.pipeline} ${e.state.toLowerCase()} in ${execution.pipeline.region}\n\nExecution  ${execution.id}\nAttempt    ${e.attempt}\nCommit     ${execution.commit.id.slice(0, 7)}  ${execution.commit.message}\nAuthor     ${execution.author.name}\n${e.failure ? `\n${e.failure[0]}: ${e.failure[1]}\n` : ''}\nWhy you get this: policy.${topic} (owner of ${execution.pipeline.pipeline}).\n` } : null,
    };
    deliveries.set(id, delivery);
    stream('delivery', { position, deliveryId: id, status, kind, topic, target, pipeline: delivery.pipeline, executionId: execution.id });
    return id;
}

// One event reaches the server.
function receive(execution, quiet = false) {
    const item = execution.arrivals[execution.next++];
    if (!item) return false;
    const { e } = item;
    if (!quiet && e.time > Date.now()) e.time = Math.floor(Date.now() / 1000) * 1000;
    const now = quiet ? Math.min(e.time + 800, Date.now()) : Date.now();
    position += 1 + Math.floor(rnd() * 2);
    accepted += 1;
    const pipeline = execution.pipeline;
    const mark = { p: position };
    let outcome = 'accepted';
    let text = 'Moved the state forward.';
    const states = e.scope === 'pipeline' ? null : e.scope === 'stage' ? execution.stageStates : execution.actionStates;
    const key = e.scope === 'stage' ? e.stageName : e.actionId;
    const old = states ? states.get(key) : execution.pipelineState;
    const newer = !old || e.attempt > old.attempt || (e.attempt === old.attempt && rank[e.state] > rank[old.state]);
    if (execution.seen.some((s) => s.eventId === e.eventId)) {
        outcome = 'duplicate';
        text = 'The same event id was received before; nothing changed.';
    } else if (!newer) {
        outcome = 'late';
        text = `${old.state} of attempt ${old.attempt} was already known; kept for the record, caused nothing.`;
    }
    const state = newer ? { ...(old ?? {}), state: e.state, attempt: e.attempt, start: old?.start ?? null, end: old?.end ?? null, e } : old;
    const starts = e.state === 'STARTED' || e.state === 'RESUMED';
    if (starts && (state.start === null || e.attempt === 1)) state.start = state.start === null ? e.time : Math.min(state.start, e.time);
    if (!starts && newer && e.state !== 'STOPPING') state.end = e.time;
    if (starts && newer) { state.end = null; if (e.attempt > 1) state.retry = e.time; }
    state.last = Math.max(state.last ?? 0, e.time);
    if (states) states.set(key, e.scope === 'action' ? { ...state, stageName: e.stageName, actionName: e.actionName, failure: e.failure ?? state.failure } : state);
    else execution.pipelineState = state;
    execution.lastUpdate = Math.max(execution.lastUpdate, e.time);
    execution.seen.push({ position: mark.p, eventId: e.eventId, receivedTime: iso(now), time: iso(e.time), scope: e.scope, stageName: e.stageName ?? null, actionName: e.actionName ?? null,
        actionExecutionId: e.actionId ?? null, state: e.state, attempt: e.attempt, arrival: execution.seen.length + 1, trueTime: e.order, outcome, text });
    log.push({ position: mark.p, receivedTime: iso(now), duplicate: outcome === 'duplicate', execution, e, seen: execution.seen.at(-1) });
    if (log.length > 60_000) log.splice(0, 10_000);

    if (outcome === 'accepted' && e.scope === 'pipeline' && ['FAILED', 'SUCCEEDED'].includes(e.state)) effects(execution, item, now, mark.p, quiet);
    else if (e.scope === 'pipeline' || (e.scope === 'stage' && outcome !== 'accepted')) {
        decide(execution, item, mark.p, now, outcome, 'nothing', `policy.${e.scope}_${e.state.toLowerCase()}`, outcome === 'accepted' ? 'no_rule' : `${outcome}_event`,
            outcome === 'accepted' ? 'Nobody asked to hear about a start.' : outcome === 'late' ? 'The state had already passed this point, so nothing was done.' : 'Decided the first time; a copy is never acted on again.', []);
    } else if (outcome === 'accepted' && e.scope === 'stage' && e.state === 'FAILED') {
        const again = execution.arrivals.some((x) => x.e.stageName === e.stageName && x.e.attempt > e.attempt);
        const d = again ? [plan(execution, item, 'retry', 'stage_failed', 'codepipeline:RetryStageExecution', `Retry ${e.stageName} of ${pipeline.pipeline}`, 'delivered', now)] : [];
        decide(execution, item, mark.p, now, outcome, again ? 'planned' : 'nothing', 'policy.stage_failed.retry', again ? 'retry_allowed' : 'retries_exhausted',
            again ? `Retry the failed actions of ${e.stageName}: attempt ${e.attempt} of at most 2.` : `No retry: ${e.stageName} is not in the list of stages that may be retried.`, d);
    }
    if (!quiet) {
        stream('transition', { position: mark.p, time: iso(e.time), pipeline: pipeline.pipeline, account: pipeline.account, region: pipeline.region, executionId: execution.id, scope: e.scope,
            stageName: e.stageName ?? null, actionName: e.actionName ?? null, actionExecutionId: e.actionId ?? null, state: e.state, attempt: e.attempt, outcome });
        changed.add(pipeline);
    }
    return true;
}

function decide(execution, item, at, now, outcome, verdict, policy, reason, text, planned) {
    const { e } = item;
    execution.decisions.push({ position: at, time: iso(now), event: { position: at, eventId: e.eventId, scope: e.scope, stageName: e.stageName ?? null, actionName: e.actionName ?? null, state: e.state, attempt: e.attempt },
        outcome, policy, policyVersion: '3', verdict, reason, text, deliveries: planned });
}

function effects(execution, item, now, at, quiet) {
    const pipeline = execution.pipeline;
    const name = pipeline.pipeline;
    if (item.e.state === 'FAILED') {
        if (pipeline.executions[0] !== execution) {
            decide(execution, item, at, now, 'accepted', 'nothing', 'policy.pipeline_failed', 'older_than_newest_success', 'A newer execution exists, so this failure opens nothing.', []);
            return;
        }
        let incident = pipeline.openIncident;
        const fresh = !incident;
        if (fresh) {
            incident = { incidentId: `inc-${hex(8)}`, pipeline: name, account: pipeline.account, region: pipeline.region, status: 'open', openedTime: iso(now), resolvedTime: null, resolvedBy: null, executions: [], deliveries: [], opened: now };
            pipeline.openIncident = incident;
            incidents.set(incident.incidentId, incident);
        }
        incident.executions.push({ executionId: execution.id, failedTime: iso(item.e.time), attempt: item.e.attempt });
        const status = rnd() < 0.25 ? 'dead' : !quiet && rnd() < 0.4 ? 'pending' : 'delivered';
        const d = [plan(execution, item, 'notify', 'pipeline_failed', `mailto:${pick(['oncall', 'platform', 'payments-team'])}@example.com`, `${name} failed`, status, now)];
        incident.deliveries.push(...d);
        decide(execution, item, at, now, 'accepted', 'planned', 'policy.pipeline_failed', fresh ? 'first_failure' : 'still_failing',
            fresh ? `First failure since the last success: opened ${incident.incidentId} and told the owner.` : `Still failing: added to ${incident.incidentId}, told the owner again.`, d);
        stream('incident', { position: at, incidentId: incident.incidentId, status: 'open', pipeline: name, executionId: execution.id });
    } else {
        const incident = pipeline.openIncident;
        if (incident) {
            Object.assign(incident, { status: 'resolved', resolvedTime: iso(now), resolvedBy: execution.id });
            pipeline.openIncident = null;
            stream('incident', { position: at, incidentId: incident.incidentId, status: 'resolved', pipeline: name, executionId: execution.id });
            const d = [plan(execution, item, 'notify', 'pipeline_succeeded', 'mailto:oncall@example.com', `${name} is back to normal`, 'delivered', now)];
            decide(execution, item, at, now, 'accepted', 'planned', 'policy.pipeline_succeeded.resolved', 'incident_resolved', `Succeeded again: resolved ${incident.incidentId} and said so.`, d);
        } else decide(execution, item, at, now, 'accepted', 'nothing', 'policy.pipeline_succeeded', 'nothing_open', 'It succeeded and nothing was open, so there is nothing to tell.', []);
    }
}

// ------------------------------------------------------------------------------------------------ the first state
for (let i = 0; i < pipelineCount; i++) pipelines.push(makePipeline(i));
{
    const now = Date.now();
    for (const [index, pipeline] of pipelines.entries()) {
        const count = index % 23 === 22 ? 1 : historyLength;
        for (let i = count - 1; i >= 0; i--) {
            const last = i === 0;
            const showcase = index === 0 && last;
            const r = rnd();
            const fate = showcase ? pipeline.stages.length - 1 : r < (last ? 0.09 : 0.13) ? Math.floor(1 + rnd() * (pipeline.stages.length - 1)) : null;
            const start = now - i * (2.2 * 3600_000) - (last ? 900_000 + rnd() * 2_400_000 : rnd() * 3600_000) - (showcase ? 900_000 : 0);
            const execution = makeExecution(pipeline, start, fate, showcase || rnd() < 0.4, showcase ? 0.4 : 0.04);
            if (showcase) executions.set('showcase', execution);
            const running = last && !showcase && rnd() < 0.16;
            const until = running ? Math.floor(execution.arrivals.length * (0.2 + rnd() * 0.6)) : execution.arrivals.length;
            if (running) {
                // It is under way: move it so that its newest event is just now.
                const shift = now - execution.arrivals[until - 1].e.time - rnd() * 20_000;
                new Set(execution.arrivals.map((a) => a.e)).forEach((e) => { e.time = Math.floor((e.time + shift) / 1000) * 1000; });
                execution.start += shift;
            }
            while (execution.next < until) receive(execution, true);
            if (last && index % 31 === 17) { execution.pipelineState.state = 'SUPERSEDED'; execution.arrivals.length = execution.next; }
            if (last && index % 41 === 19) { execution.pipelineState.state = 'STOPPED'; execution.stopReason = 'Stopped by mina: waiting for the hotfix'; execution.arrivals.length = execution.next; }
            if (last && index % 67 === 29) { execution.pipelineState.state = 'ABANDONED'; execution.arrivals.length = execution.next; execution.gaps.push({ scope: 'pipeline', stageName: null, actionName: null, actionExecutionId: null, attempt: 1, kind: 'missing_end', text: 'No event for 30 days: the end of this execution was never received.' }); }
        }
    }
    log.sort((a, b) => (a.receivedTime < b.receivedTime ? -1 : 1));
    log.forEach((entry, i) => { entry.position = entry.seen.position = position + i; });
    position += log.length;
}

// ------------------------------------------------------------------------------------------------ what answers look like
const stageCells = (execution) => execution.pipeline.stages.map(([stageName]) => {
    const s = execution.stageStates.get(stageName);
    return { stageName, status: s ? word[s.state] : null, attempt: s?.attempt ?? 1 };
});
function bounds(execution) {
    const p = execution.pipelineState;
    const done = p && rank[p.state] >= 2;
    const end = done ? p.end ?? execution.lastUpdate : null;
    return { status: word[p?.state ?? 'STARTED'], attempt: p?.attempt ?? 1, startTime: iso(p?.start ?? execution.start), lastUpdateTime: iso(execution.lastUpdate), endTime: iso(end), durationMs: end ? end - (p.start ?? execution.start) : null };
}
function row(pipeline) {
    const execution = pipeline.executions[0];
    const b = bounds(execution);
    return { pipeline: pipeline.pipeline, account: pipeline.account, region: pipeline.region, status: b.status, executionId: execution.id, attempt: b.attempt, startTime: b.startTime,
        lastUpdateTime: b.lastUpdateTime, executions: pipeline.executions.length, openIncident: pipeline.openIncident?.incidentId ?? null, gaps: execution.gaps.length, stages: stageCells(execution) };
}
const base = (execution) => ({ pipeline: execution.pipeline.pipeline, executionId: execution.id, account: execution.pipeline.account, region: execution.pipeline.region, ...bounds(execution) });
const executionRow = (execution) => ({ ...base(execution), trigger: execution.trigger.type, commit: execution.commit.id, author: execution.author.name, gaps: execution.gaps.length, stages: stageCells(execution) });
function executionPage(execution) {
    const stages = execution.pipeline.stages.map(([stageName]) => {
        const s = execution.stageStates.get(stageName);
        const [category, provider] = providers[stageName] ?? ['Deploy', 'ECS'];
        const actions = [...execution.actionStates].filter(([, a]) => a.stageName === stageName).map(([id, a]) => ({
            actionName: a.actionName, actionExecutionId: id, status: word[a.state], attempt: a.attempt, startTime: iso(a.start), lastUpdateTime: iso(a.last), endTime: iso(a.end),
            durationMs: a.end && a.start ? a.end - a.start : null, category, owner: 'AWS', provider, region: execution.pipeline.region, externalExecutionId: `${execution.pipeline.pipeline}:${id.slice(0, 8)}`,
            externalExecutionUrl: `https://console.aws.amazon.com/codebuild/home#/builds/${id}`, externalExecutionSummary: a.state === 'FAILED' ? a.failure?.[1] ?? null : null, errorCode: a.state === 'FAILED' ? a.failure?.[0] ?? null : null }));
        return { stageName, status: s ? word[s.state] : null, attempt: s?.attempt ?? 1, startTime: iso(s?.start), lastUpdateTime: iso(s?.last), endTime: iso(s?.end), durationMs: s?.end && s?.start ? s.end - s.start : null, lastRetryTime: iso(s?.retry), actions };
    });
    return { ...base(execution), pipelineVersion: '8.0', lastRetryTime: iso(execution.pipelineState?.retry), stopReason: execution.stopReason, trigger: execution.trigger, commit: execution.commit, author: execution.author, stages, gaps: execution.gaps };
}
function executionEvents(execution) {
    const ordered = execution.seen.slice().sort((a, b) => a.trueTime - b.trueTime || a.position - b.position);
    const place = new Map(ordered.map((e, i) => [e, i + 1]));
    return execution.seen.map(({ trueTime, ...e }, i) => ({ ...e, order: place.get(execution.seen[i]) }));
}
const envelope = ({ execution, e }) => ({ version: '0', id: e.eventId, 'detail-type': `CodePipeline ${{ pipeline: 'Pipeline', stage: 'Stage', action: 'Action' }[e.scope]} Execution State Change`, source: 'aws.codepipeline', account: execution.pipeline.account,
    time: iso(e.time).replace('.000', ''), region: execution.pipeline.region, resources: [`arn:aws:codepipeline:${execution.pipeline.region}:${execution.pipeline.account}:${execution.pipeline.pipeline}`],
    detail: { pipeline: execution.pipeline.pipeline, 'execution-id': execution.id, ...(e.stageName ? { stage: e.stageName } : {}), ...(e.actionName ? { action: e.actionName, 'action-execution-id': e.actionId } : {}), state: e.state, version: 8 } });
const deliveryRow = ({ message, planned, ...d }) => d;
function deliveryPage(d) {
    const at = d.planned;
    const history = d.status === 'dead'
        ? [['retry', 'smtp_421', '421 4.7.0 Try again later', 0], ['retry', 'timeout', 'No answer within 10 s', 15_000], ['dead', 'smtp_550', '550 5.1.1 The email account that you tried to reach does not exist', 75_000]]
        : d.status === 'delivered' ? [['ok', '250', '2.0.0 OK queued as 4F1xYz', 400]] : [['retry', 'timeout', 'No answer within 10 s', 300]];
    return { ...deliveryRow(d), history: history.map(([outcome, code, text, after]) => ({ time: iso(at + after), outcome, code, text })), message: d.message };
}
const incidentRow = ({ opened, deliveries: _d, ...i }) => ({ ...i, firstExecutionId: i.executions[0].executionId, lastExecutionId: i.executions.at(-1).executionId });
function incidentPage(i) {
    const execution = executions.get(i.executions.at(-1).executionId);
    const failing = [...execution.actionStates.values()].find((a) => a.failure);
    return { ...incidentRow(i), cause: failing ? { stageName: failing.stageName, actionName: failing.actionName, errorCode: failing.failure[0], summary: failing.failure[1], url: 'https://console.aws.amazon.com/codebuild/home' } : null,
        deliveries: i.deliveries.map((id) => deliveryRow(deliveries.get(id))) };
}

// ------------------------------------------------------------------------------------------------ streams and time
function stream(event, data) {
    backlog.push({ event, data });
    if (backlog.length > 2000) backlog.shift();
    const text = `event: ${event}\nid: ${data.position}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const s of streams) if (!s.rows && (!s.executionId || s.executionId === data.executionId)) s.response.write(text);
}
setInterval(() => {
    if (changed.size === 0) return;
    const rows = [...changed].map(row);
    changed.clear();
    const text = `event: pipelines\nid: ${position}\ndata: ${JSON.stringify({ position, pipelines: rows })}\n\n`;
    for (const s of streams) if (s.rows) s.response.write(text);
}, 250).unref();
setInterval(() => { for (const s of streams) s.response.write(': keep-alive\n\n'); }, 15_000).unref();

function startOne(pipeline) {
    return makeExecution(pipeline, Date.now(), rnd() < 0.12 ? Math.floor(1 + rnd() * (pipeline.stages.length - 1)) : null, rnd() < 0.5, 0.06);
}
function tick() {
    const running = pipelines.filter((p) => p.executions[0].next < p.executions[0].arrivals.length);
    if (running.length < pipelineCount * 0.12 || rnd() < 0.05) {
        const pipeline = pick(pipelines);
        if (pipeline.executions[0].next >= pipeline.executions[0].arrivals.length && pipeline !== pipelines[0]) running.push(startOne(pipeline).pipeline);
    }
    if (running.length === 0) return;
    const execution = pick(running).executions[0];
    const item = execution.arrivals[execution.next];
    // Scripts run faster than life; what they say about time is moved to now so that the pages tick truthfully.
    const shift = Math.floor((Date.now() - item.e.time) / 1000) * 1000;
    if (!item.copy && shift > 0) for (const rest of new Set(execution.arrivals.slice(execution.next).filter((a) => !execution.seen.some((s) => s.eventId === a.e.eventId)).map((a) => a.e))) rest.time += shift;
    else if (!item.copy && shift < -1000) item.e.time = Math.floor(Date.now() / 1000) * 1000;
    receive(execution);
    for (const d of deliveries.values()) if (d.status === 'pending' && rnd() < 0.02) { d.status = 'delivered'; d.finishedTime = iso(Date.now()); stream('delivery', { position, deliveryId: d.deliveryId, status: d.status, kind: d.kind, topic: d.topic, target: d.target, pipeline: d.pipeline, executionId: d.executionId }); }
}
if (!still) setInterval(tick, 1000 / eventsPerSecond).unref();

// ------------------------------------------------------------------------------------------------ HTTP
const types = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml' };
const policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

class Refusal extends Error { constructor(status, kind, message) { super(message); Object.assign(this, { status, kind }); } }
const missing = (what, id) => new Refusal(404, 'not_found', `There is no ${what} ${id}.`);
const need = (value, what, id) => { if (!value) throw missing(what, id); return value; };

function page(list, query, key, fallback = 50) {
    const limit = Math.min(10_000, Math.max(1, Number(query.get('limit') ?? fallback)));
    const from = Number(query.get('cursor') ?? 0);
    const slice = list.slice(from, from + limit);
    return { position, [key]: slice, nextCursor: from + limit < list.length ? String(from + limit) : null };
}

// Event buses and their rules. Patterns here know plain values and prefixes, which is what those of the mock use.
const home = { account: '123456789012', region: 'eu-central-1' };
const arnOf = (service, resource) => `arn:aws:${service}:${home.region}:${home.account}:${resource}`;
const eventBuses = [['default', null], ['orders', 'Events of the shop']].map(([name, description]) => ({ ...home, name, arn: arnOf('events', `event-bus/${name}`), description, policy: null, rules: name === 'default' ? 3 : 1, archives: 0, createdTime: name === 'default' ? null : iso(Date.now() - 86_400_000) }));
const targetOf = (id, arn, kind, by, why = null, deadLetter = null) => ({ id, arn, kind, served: why === null, servedBy: why === null ? by : null, unservedReason: why, deadLetter });
const queue = (name) => ({ arn: arnOf('sqs', name), served: true, servedBy: 'http://127.0.0.1:9324', unservedReason: null });
const ruleOf = (bus, name, pattern, schedule, description, targets, state = 'ENABLED') => ({ ...home, bus, name, arn: arnOf('events', bus === 'default' ? `rule/${name}` : `rule/${bus}/${name}`), state, description, pattern, schedule,
    nextTime: schedule && state === 'ENABLED' ? iso(Date.now() + 3_600_000) : null, createdTime: iso(Date.now() - 86_400_000), targets });
const rules = [
    ruleOf('default', 'failed-pipelines', { source: ['aws.codepipeline'], 'detail-type': [{ prefix: 'CodePipeline ' }], detail: { state: ['FAILED', 'STOPPED'] } }, null, 'What somebody has to look at', [
        targetOf('queue', arnOf('sqs', 'failures'), 'sqs', 'http://127.0.0.1:9324', null, queue('failures-dead')),
        targetOf('page', arnOf('lambda', 'function:page'), 'lambda', null, `no endpoint is configured for service lambda, region ${home.region}, account ${home.account} (configuration key \`aws\`)`)]),
    ruleOf('default', 'nightly', null, 'cron(0 18 ? * MON-FRI *)', null, [targetOf('build', arnOf('codepipeline', 'nightly'), 'pipeline', 'AWS codepipeline in eu-central-1')]),
    ruleOf('default', 'to-shop', { source: [{ prefix: 'shop' }] }, null, null, [targetOf('bus', eventBuses[1].arn, 'event_bus', 'a bus of this server')], 'DISABLED'),
    ruleOf('orders', 'large-orders', { 'detail-type': ['Order Placed'], detail: { large: [true] } }, null, null, []),
];
function explain(rule, event) {
    const clauses = [];
    const walk = (pattern, value, path) => {
        for (const [key, wanted] of Object.entries(pattern)) {
            const at = path ? `${path}.${key}` : key;
            const found = value?.[key];
            if (!Array.isArray(wanted)) { walk(wanted, found, at); continue; }
            const values = found === undefined ? [] : [found].flat();
            const fits = values.some((v) => wanted.some((w) => (w?.prefix === undefined ? w === v : String(v).startsWith(w.prefix))));
            clauses.push({ path: at, wanted, found: values, foundCount: values.length, outcome: fits ? 'matched' : values.length ? 'differs' : 'absent' });
        }
    };
    walk(rule.pattern, event, '');
    const matched = clauses.every((c) => c.outcome === 'matched');
    return { rule: rule.arn, state: rule.state, explanation: { matched, combinations: 1, nearest: [{ matched, clauses: clauses.sort((a, b) => (a.path < b.path ? -1 : 1)) }] } };
}

async function answer(method, path, query, body) {
    const part = path.split('/').slice(3).map(decodeURIComponent);
    const [what, id, sub] = part;
    if (method === 'POST') {
        if (what === 'rules' && id === 'explain') return explain(need(rules.find((r) => r.arn === query.get('rule') || r.name === query.get('rule')), 'rule', query.get('rule')), body);
        if (what === 'mock') return control(id, body ?? {});
        if (what === 'deliveries' && id === 'redrive') {
            const list = body?.all ? [...deliveries.values()].filter((d) => d.status === 'dead') : (body?.ids ?? []).map((x) => deliveries.get(x)).filter(Boolean);
            list.forEach(redrive);
            return { redriven: list.length };
        }
        if (what === 'deliveries' && sub === 'redrive') { redrive(need(deliveries.get(id), 'delivery', id)); return { position }; }
    }
    switch (what) {
        case 'health': return { status: 'ok', position, durablePosition: position, acceptingEvents: true, history: { position: position - 2, lagMs: 12 + Math.floor(rnd() * 30) }, eventsAccepted: accepted,
            liveExecutions: pipelines.filter((p) => p.executions[0].next < p.executions[0].arrivals.length).length, pendingDeliveries: [...deliveries.values()].filter((d) => d.status === 'pending').length,
            deadDeliveries: [...deliveries.values()].filter((d) => d.status === 'dead').length, openIncidents: [...incidents.values()].filter((i) => i.status === 'open').length, uptimeMs: Date.now() - startedAt, version: '0.1.0-mock', mailDirectory: null };
        case 'pipelines': {
            if (sub === 'executions') {
                const those = pipelines.filter((x) => x.pipeline === id && ['account', 'region'].every((k) => !query.get(k) || x[k] === query.get(k)));
                need(those[0], 'pipeline', id);
                return page(those.flatMap((p) => p.executions).sort((a, b) => b.start - a.start).map(executionRow), query, 'executions');
            }
            const words = (query.get('q') ?? '').toLowerCase();
            const list = pipelines.filter((p) => p.pipeline.includes(words)).map(row).filter((r) => !query.get('status') || r.status === query.get('status'));
            return { ...page(list, query, 'pipelines', 1000), total: list.length };
        }
        case 'executions': {
            const e = need(executions.get(id), 'execution', id);
            if (sub === 'events') return { position, events: executionEvents(e) };
            if (sub === 'receipt') return { subject: { type: 'execution', id }, decisions: e.decisions };
            return executionPage(e);
        }
        case 'incidents': {
            if (!id) {
                const status = query.get('status') ?? 'all';
                const list = [...incidents.values()].filter((i) => (status === 'all' || i.status === status) && ['pipeline', 'account', 'region'].every((k) => !query.get(k) || i[k] === query.get(k)))
                    .sort((a, b) => (a.status === b.status ? b.opened - a.opened : a.status === 'open' ? -1 : 1));
                return page(list.map(incidentRow), query, 'incidents');
            }
            const i = need(incidents.get(id), 'incident', id);
            if (sub === 'receipt') return { subject: { type: 'incident', id }, decisions: i.executions.flatMap((x) => executions.get(x.executionId).decisions.filter((d) => d.event.scope === 'pipeline' && d.verdict === 'planned')) };
            return incidentPage(i);
        }
        case 'deliveries': {
            if (!id) {
                const list = [...deliveries.values()].filter((d) => ['status', 'kind', 'executionId'].every((k) => !query.get(k) || d[k] === query.get(k))).sort((a, b) => b.planned - a.planned);
                return page(list.map(deliveryRow), query, 'deliveries');
            }
            const d = need(deliveries.get(id), 'delivery', id);
            if (sub === 'receipt') return { subject: { type: 'delivery', id }, decisions: executions.get(d.executionId).decisions.filter((x) => x.deliveries.includes(id)) };
            return deliveryPage(d);
        }
        case 'events': {
            const from = Number(query.get('from') ?? 0);
            const desc = query.get('order') === 'desc';
            const limit = Math.min(1000, Number(query.get('limit') ?? 50));
            const fits = (x) => (!query.get('pipeline') || x.execution.pipeline.pipeline === query.get('pipeline')) && (!query.get('executionId') || x.execution.id === query.get('executionId')) && (!query.get('detailType') || envelope(x)['detail-type'] === query.get('detailType'));
            const out = [];
            if (desc) { for (let i = log.length - 1; i >= 0 && out.length < limit; i--) if ((from === 0 || log[i].position <= from) && fits(log[i])) out.push(log[i]); }
            else for (const x of log) { if (x.position >= from && fits(x)) out.push(x); if (out.length >= limit) break; }
            return { position, events: out.map((x) => ({ position: x.position, receivedTime: x.receivedTime, duplicate: x.duplicate, event: envelope(x) })), nextCursor: null };
        }
        case 'buses': return { position, buses: eventBuses, nextCursor: null };
        case 'rules': return { position, rules, nextCursor: null };
        case 'search': {
            const q = (query.get('q') ?? '').toLowerCase();
            const results = [];
            for (const p of pipelines) if (q && p.pipeline.includes(q)) { const r = row(p); results.push({ type: 'pipeline', pipeline: p.pipeline, account: p.account, region: p.region, executionId: null, incidentId: null, status: r.status, startTime: r.startTime, snippet: p.stages.map((s) => s[0]).join(' → ') }); }
            for (const e of executions.values()) {
                if (results.length >= 60 || !q) break;
                const hit = [e.id, e.commit.id, e.commit.message, e.author.name].find((t) => t.toLowerCase().includes(q));
                if (hit) results.push({ type: 'execution', pipeline: e.pipeline.pipeline, account: e.pipeline.account, region: e.pipeline.region, executionId: e.id, incidentId: null, ...(({ status, startTime }) => ({ status, startTime }))(bounds(e)), snippet: `${e.commit.id.slice(0, 7)} ${e.commit.message} (${e.author.name})` });
            }
            for (const i of incidents.values()) if (q && results.length < 80 && (i.incidentId.includes(q) || i.pipeline.includes(q))) results.push({ type: 'incident', pipeline: i.pipeline, account: i.account, region: i.region, executionId: i.executions.at(-1).executionId, incidentId: i.incidentId, status: i.status, startTime: i.openedTime, snippet: `${i.executions.length} failed` });
            return { position, results };
        }
        case 'why': {
            const e = executions.get(id);
            if (e) return { subject: { type: 'execution', id }, decisions: e.decisions };
        }
    }
    throw new Refusal(404, 'not_found', `Nothing answers at ${path}.`);
}
function redrive(d) {
    Object.assign(d, { status: 'pending', nextAttemptTime: iso(Date.now() + 1000), finishedTime: null, reason: null });
    stream('delivery', { position, deliveryId: d.deliveryId, status: d.status, kind: d.kind, topic: d.topic, target: d.target, pipeline: d.pipeline, executionId: d.executionId });
}
// Levers for tests: POST /api/v1/mock/start|step|finish {"pipeline"}, /drop ends all streams, /refuse {"streams":true} answers none.
let refuseStreams = false;
function control(lever, body) {
    if (lever === 'drop') { for (const s of streams) s.response.destroy(); return { dropped: true }; }
    if (lever === 'refuse') { refuseStreams = body.streams === true; for (const s of streams) s.response.destroy(); return { refuseStreams }; }
    const p = need(pipelines.find((x) => x.pipeline === body.pipeline), 'pipeline', body.pipeline);
    if (lever === 'start') {
        const e = makeExecution(p, Date.now(), body.fail ?? null, body.retry ?? false, body.trouble ?? 0);
        receive(e);
        return { executionId: e.id, events: e.arrivals.length };
    }
    const e = p.executions[0];
    if (lever === 'step') for (let i = 0; i < (body.events ?? 1); i++) receive(e);
    if (lever === 'finish') while (receive(e)) { /* all of it */ }
    return { executionId: e.id, left: e.arrivals.length - e.next };
}

const server = createServer(async (request, response) => {
    const address = new URL(request.url, 'http://localhost');
    const path = address.pathname;
    const send = (status, value) => {
        const text = JSON.stringify(value);
        response.writeHead(status, { 'Content-Type': 'application/json', 'Waybill-Position': String(position), 'Cache-Control': 'no-store' });
        response.end(text);
    };
    if (!path.startsWith('/api/')) {
        const file = normalize(join(dist, path));
        const asset = file.startsWith(dist) && existsSync(file) && statSync(file).isFile();
        if (!asset && path.startsWith('/assets/')) { response.writeHead(404); response.end(); return; }
        const name = asset ? file : join(dist, 'index.html');
        response.writeHead(200, { 'Content-Type': types[name.split('.').at(-1)] ?? 'application/octet-stream', 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' });
        response.end(readFileSync(name));
        return;
    }
    if (wantedToken && request.headers.authorization !== `Bearer ${wantedToken}`) { send(401, { error: { kind: 'invalid', message: 'A token is needed: send Authorization: Bearer.' } }); return; }
    if (path === '/api/v1/stream') {
        if (refuseStreams) { send(503, { error: { kind: 'unavailable', message: 'Streams are refused for now.' } }); return; }
        response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'Waybill-Position': String(position) });
        const rows = address.searchParams.get('view') === 'pipelines';
        const from = Number(request.headers['last-event-id'] ?? address.searchParams.get('from') ?? 0);
        response.write(`event: hello\nid: ${from || position}\ndata: ${JSON.stringify({ position, version: '0.1.0-mock' })}\n\n`);
        const s = { response, rows, executionId: address.searchParams.get('executionId') };
        if (from && !rows) for (const m of backlog) if (m.data.position > from && (!s.executionId || s.executionId === m.data.executionId)) response.write(`event: ${m.event}\nid: ${m.data.position}\ndata: ${JSON.stringify(m.data)}\n\n`);
        if (from && rows && from < position) {
            const late = new Set(log.filter((x) => x.position > from).map((x) => x.execution.pipeline));
            if (late.size) response.write(`event: pipelines\nid: ${position}\ndata: ${JSON.stringify({ position, pipelines: [...late].map(row) })}\n\n`);
        }
        streams.add(s);
        request.on('close', () => streams.delete(s));
        return;
    }
    try {
        let text = '';
        for await (const chunk of request) text += chunk;
        send(request.method === 'POST' && path.endsWith('/redrive') && !path.endsWith('deliveries/redrive') ? 202 : 200, await answer(request.method, path, address.searchParams, text ? JSON.parse(text) : null));
    } catch (error) {
        if (error instanceof Refusal) send(error.status, { error: { kind: error.kind, message: error.message } });
        else { console.error(error); send(500, { error: { kind: 'corrupt', message: String(error) } }); }
    }
});
server.listen(port, '127.0.0.1', () => console.log(`mock of ${pipelineCount} pipelines at http://127.0.0.1:${server.address().port}/`));
