import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Action, Execution, ExecutionEvent, PipelineRow, Stage } from '../src/api.js';
import { attentionRank, brief, byAttention, byName, commitId, failingAction, groupActions, lanes, links, passes, safeUrl, shared, shortId, ticks, visibleRange, wordsOf } from '../src/logic.js';
import { letterOf } from '../src/keyboard.js';
import { match } from '../src/router.js';
import { pickLanguage } from '../src/preferences.js';

const row = (over: Partial<PipelineRow>): PipelineRow => ({
    pipeline: 'p', account: '1', region: 'eu-west-1', status: 'Succeeded', executionId: 'abc', attempt: 1, startTime: '2026-01-01T00:00:00.000Z',
    lastUpdateTime: null, executions: 1, openIncident: null, gaps: 0, stages: [{ stageName: 'Build', status: 'Succeeded', attempt: 1 }], ...over,
});
const action = (over: Partial<Action>): Action => ({
    actionName: 'A', actionExecutionId: 'x', status: 'Succeeded', attempt: 1, startTime: '2026-01-01T00:00:10.000Z', lastUpdateTime: null, endTime: '2026-01-01T00:00:20.000Z',
    durationMs: 10_000, category: null, owner: null, provider: null, region: null, externalExecutionId: null, externalExecutionUrl: null, externalExecutionSummary: null, errorCode: null, ...over,
});
const stage = (over: Partial<Stage>): Stage => ({
    stageName: 'S', status: 'Succeeded', attempt: 1, startTime: '2026-01-01T00:00:09.000Z', lastUpdateTime: null, endTime: '2026-01-01T00:00:21.000Z', durationMs: 12_000, lastRetryTime: null, actions: [], ...over,
});
const execution = (stages: Stage[], over: Partial<Execution> = {}): Execution => ({
    pipeline: 'p', executionId: 'e', account: '1', region: 'r', status: 'Succeeded', attempt: 1, pipelineVersion: null, startTime: '2026-01-01T00:00:00.000Z', lastUpdateTime: null,
    endTime: '2026-01-01T00:01:00.000Z', durationMs: 60_000, lastRetryTime: null, stopReason: null, trigger: null, commit: null, author: null, stages, gaps: [], ...over,
});
const event = (position: number, arrival: number, order: number): ExecutionEvent => ({
    position, eventId: String(position), receivedTime: null, time: null, scope: 'stage', stageName: 'S', actionName: null, actionExecutionId: null, state: 'STARTED', attempt: 1, arrival, order, outcome: 'accepted', text: null,
});

test('the account is shown where a name and a region are not enough', () => {
    const rows = [row({}), row({ account: '2' }), row({ region: 'us-east-1' }), row({ pipeline: 'q' }), row({ account: '3' })];
    assert.deepEqual([...shared(rows)], ['eu-west-1/p']);
    assert.deepEqual([...shared(rows.slice(1, 4))], []);
});

test('what fails comes first, then what runs again after a failure', () => {
    const list = [
        row({ pipeline: 'ok' }), row({ pipeline: 'running', status: 'InProgress' }), row({ pipeline: 'again', status: 'InProgress', openIncident: 'inc-1' }),
        row({ pipeline: 'failed', status: 'Failed' }), row({ pipeline: 'stopping', status: 'Stopping' }),
    ];
    assert.deepEqual(list.sort(byAttention).map((r) => r.pipeline), ['failed', 'again', 'stopping', 'running', 'ok']);
    assert.ok(attentionRank(row({ gaps: 1 })) < attentionRank(row({})));
});

test('equal ranks: the newest start, then the name, then account and region', () => {
    const a = row({ pipeline: 'a', startTime: '2026-01-01T00:00:00.000Z' });
    const b = row({ pipeline: 'b', startTime: '2026-01-02T00:00:00.000Z' });
    assert.deepEqual([a, b].sort(byAttention), [b, a]);
    assert.ok(byAttention(row({ pipeline: 'a' }), row({ pipeline: 'b' })) < 0);
    assert.ok(byName(row({ region: 'eu-west-1' }), row({ region: 'us-east-1' })) < 0);
});

test('every word of the filter must be found somewhere', () => {
    const r = row({ pipeline: 'checkout-eu', status: 'Failed' });
    assert.ok(passes(r, wordsOf('Check  build'), null));
    assert.ok(!passes(r, wordsOf('checkout deploy'), null));
    assert.ok(passes(r, [], 'failing'));
    assert.ok(!passes(r, [], 'ok'));
});

test('attempts of one action lie together, newest first', () => {
    const groups = groupActions(stage({ actions: [action({ attempt: 1, status: 'Failed' }), action({ actionName: 'B' }), action({ attempt: 2, startTime: '2026-01-01T00:00:30.000Z' })] }));
    assert.deepEqual(groups.map((g) => [g.actionName, g.attempts.map((x) => x.attempt)]), [['A', [2, 1]], ['B', [1]]]);
});

test('the failing action is the newest attempt in the first failed stage', () => {
    const failing = failingAction(execution([stage({}), stage({ stageName: 'T', status: 'Failed', actions: [action({}), action({ actionName: 'B', status: 'Failed', errorCode: 'X' })] })]));
    assert.equal(failing?.action.errorCode, 'X');
    assert.equal(failingAction(execution([stage({})])), null);
});

test('lanes: missing starts open at the left, running ends at now', () => {
    const now = Date.parse('2026-01-01T00:02:00.000Z');
    const { lanes: all, start, end } = lanes(execution([stage({ actions: [action({ startTime: null }), action({ actionName: 'B', status: 'InProgress', endTime: null })] })], { status: 'InProgress', endTime: null }), now);
    assert.equal(start, Date.parse('2026-01-01T00:00:00.000Z'));
    assert.equal(end, now);
    const spans = all.filter((l) => l.kind === 'action').flatMap((l) => l.spans);
    assert.deepEqual(spans.map((s) => [s.openStart, s.openEnd]).sort(), [[false, true], [true, false]]);
    for (const s of spans) assert.ok(s.start <= s.end);
});

test('lanes of an execution that said nothing yet do not divide by zero', () => {
    const { start, end } = lanes(execution([], { startTime: null, endTime: null }), 5000);
    assert.ok(end > start);
});

test('marks of time are round and few', () => {
    assert.deepEqual(ticks(0, 60_000, 6), [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000]);
    for (const span of [1000, 90_000, 7_200_000, 40 * 86_400_000, 4000 * 86_400_000]) assert.ok(ticks(0, span, 8).length <= 9, String(span));
});

test('links join arrival to true order, and know what is out of place', () => {
    const list = links([event(10, 1, 2), event(11, 2, 1), event(12, 3, 3)], 'arrival');
    assert.deepEqual(list.map((l) => [l.from, l.to, l.crosses]), [[0, 1, true], [1, 0, true], [2, 2, false]]);
    const back = links(list.map((l) => l.event), 'order');
    assert.deepEqual(back.map((l) => l.event.position), [11, 10, 12]);
});

test('only rows near the screen are drawn', () => {
    assert.deepEqual(visibleRange(0, 440, 0, 44, 5000, 2), [0, 12]);
    assert.deepEqual(visibleRange(4400, 440, 0, 44, 5000, 0), [100, 110]);
    assert.deepEqual(visibleRange(0, 100, 0, 44, 0, 8), [0, 0]);
    assert.deepEqual(visibleRange(1e9, 440, 0, 44, 10, 2), [10, 10]);
    assert.deepEqual(visibleRange(0, 400, 1000, 40, 50, 0), [0, 0]);
});

test('ids, commits and people are shortened', () => {
    assert.equal(shortId('92b45bfa-902f-4f55-a8c2-89a320549673'), '92b45bfa');
    assert.equal(shortId(null), '');
    assert.equal(commitId({ id: 'd1f6c19aaaaaaaaa' }), 'd1f6c19');
    assert.equal(commitId({ id: 'not a commit' }), '');
    assert.equal(brief({ message: 'first\nsecond' }), 'first');
    assert.equal(brief(null), '');
});

test('only web addresses become links', () => {
    assert.equal(safeUrl('javascript:alert(1)'), null);
    assert.equal(safeUrl(' https://x'), null);
    assert.equal(safeUrl('https://x/y'), 'https://x/y');
});

test('paths match by their parts', () => {
    assert.deepEqual(match('/pipelines/{name}', '/pipelines/a%2Fb'), { name: 'a/b' });
    assert.equal(match('/pipelines/{name}', '/pipelines'), null);
    assert.equal(match('/pipelines/{name}', '/incidents/x'), null);
    assert.equal(match('/pipelines/{name}', '/pipelines/%E0%A4%A'), null);
});

test('letter keys work with a Korean layout', () => {
    assert.equal(letterOf({ key: 'ㅓ', code: 'KeyJ' }), 'j');
    assert.equal(letterOf({ key: 'j', code: 'KeyC' }), 'j');
    assert.equal(letterOf({ key: '/', code: 'Slash' }), '/');
});

test('the first language we speak is taken', () => {
    assert.equal(pickLanguage(['fr-FR', 'ko-KR', 'en']), 'ko');
    assert.equal(pickLanguage(['fr']), 'en');
});
