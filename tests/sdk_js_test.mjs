// EventBridge with AWS's SDK for JavaScript, unmodified. The SDK is installed on first use (scripts/npm-install).
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
execFileSync(resolve(here, '../scripts/npm-install'), [here], { stdio: 'inherit' });
const {
    CreateEventBusCommand, DeleteRuleCommand, DescribeRuleCommand, EventBridgeClient, ListEventSourcesCommand, ListRulesCommand, ListTargetsByRuleCommand, PutEventsCommand, PutRuleCommand,
    PutTargetsCommand, RemoveTargetsCommand, TestEventPatternCommand,
} = await import('@aws-sdk/client-eventbridge');

const binary = process.env.WAYBILL_BIN ?? resolve(here, '../build/release/waybill');
const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'the-secret-key' };
const good = { Source: 'shop', DetailType: 'Order Placed', Detail: JSON.stringify({ text: 'ü' }) };

// A server until the end of this file; its first line is its address.
async function serve(config) {
    const folder = mkdtempSync(join(tmpdir(), 'waybill-test-'));
    writeFileSync(join(folder, 'waybill.yaml'), config);
    const child = spawn(binary, ['serve', '--data', join(folder, 'data'), '--config', join(folder, 'waybill.yaml'), '--listen', '127.0.0.1:0'], {
        stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = new Promise((done) => child.once('exit', done));
    after(async () => {
        child.kill('SIGKILL');
        await ended;
        rmSync(folder, { recursive: true, force: true });
    });
    for await (const line of createInterface({ input: child.stdout })) return line.trim();
    throw new Error('waybill did not print its address');
}

function client(endpoint, credentials = keys) {
    const made = new EventBridgeClient({ endpoint, region: 'eu-west-1', credentials, maxAttempts: 1 });
    after(() => made.destroy());
    return made;
}

test('entries are taken and refused one by one', async () => {
    const address = await serve('');
    const answer = await client(address).send(
        new PutEventsCommand({ Entries: [{ ...good, Time: new Date('2026-04-19T12:42:28Z'), Resources: ['arn:a'] }, { ...good, Detail: '[]' }, { ...good, Source: 'aws.x' }] }),
    );
    assert.equal(answer.FailedEntryCount, 2);
    assert.deepEqual(answer.Entries.slice(1), [
        { ErrorCode: 'MalformedDetail', ErrorMessage: 'Detail is malformed.' },
        { ErrorCode: 'NotAuthorizedForSourceException', ErrorMessage: 'Not authorized for the source.' },
    ]);
    assert.ok(answer.$metadata.requestId);
    const { events } = await (await fetch(`${address}/api/v1/events`)).json();
    assert.deepEqual(events.map((e) => e.event), [
        {
            version: '0', id: answer.Entries[0].EventId, 'detail-type': 'Order Placed', source: 'shop', account: '000000000000', time: '2026-04-19T12:42:28Z',
            region: 'eu-west-1', resources: ['arn:a'], detail: { text: 'ü' },
        },
    ]);
});

test('a request that is refused whole is an exception with its code', async () => {
    const address = await serve('');
    await assert.rejects(client(address).send(new PutEventsCommand({ Entries: Array(11).fill(good) })), { name: 'ValidationException' });
    await assert.rejects(client(address).send(new PutEventsCommand({ Entries: [{ ...good, Detail: JSON.stringify('x'.repeat(1 << 20)) }] })), {
        name: 'ValidationException',
        message: 'Total size of the entries in the request is over the limit.',
    });
    await assert.rejects(client(address).send(new ListEventSourcesCommand({})), { name: 'UnknownOperationException' });
});

test('signatures are verified', async () => {
    const address = await serve(`security: {credentials: [{access_key_id: ${keys.accessKeyId}, secret_access_key: ${keys.secretAccessKey}}]}`);
    const entries = new PutEventsCommand({ Entries: [good] });
    assert.equal((await client(address).send(entries)).FailedEntryCount, 0);
    await assert.rejects(client(address, { ...keys, secretAccessKey: 'another' }).send(entries), { name: 'InvalidSignatureException' });
    await assert.rejects(client(address, { ...keys, accessKeyId: 'AKIDUNKNOWN' }).send(entries), { name: 'UnrecognizedClientException' });
});

test('a rule on a bus of its own, and what it matches', async () => {
    const address = await serve('');
    const events = client(address);
    const bus = { EventBusName: 'orders' };
    const queue = 'arn:aws:sqs:eu-west-1:000000000000:q';
    const pattern = JSON.stringify({ source: ['shop'], detail: { price: [{ numeric: ['>', 100] }] } });
    await assert.rejects(events.send(new PutRuleCommand({ ...bus, Name: 'dear', EventPattern: pattern })), { name: 'ResourceNotFoundException' });
    assert.equal((await events.send(new CreateEventBusCommand({ Name: 'orders' }))).EventBusArn, 'arn:aws:events:eu-west-1:000000000000:event-bus/orders');
    const { RuleArn } = await events.send(new PutRuleCommand({ ...bus, Name: 'dear', EventPattern: pattern }));
    assert.equal(RuleArn, 'arn:aws:events:eu-west-1:000000000000:rule/orders/dear');
    await assert.rejects(events.send(new PutRuleCommand({ ...bus, Name: 'r', EventPattern: '{"source": "shop"}' })), { name: 'InvalidEventPatternException' });
    assert.equal((await events.send(new PutTargetsCommand({ ...bus, Rule: 'dear', Targets: [{ Id: 'q', Arn: queue, Input: '"dear"' }] }))).FailedEntryCount, 0);
    assert.deepEqual((await events.send(new ListTargetsByRuleCommand({ ...bus, Rule: 'dear' }))).Targets, [{ Id: 'q', Arn: queue, Input: '"dear"' }]);
    const { State, EventPattern } = await events.send(new DescribeRuleCommand({ ...bus, Name: 'dear' }));
    assert.deepEqual([State, EventPattern], ['ENABLED', pattern]);
    const entry = (price) => ({ ...good, ...bus, Detail: JSON.stringify({ price }) });
    const { Entries } = await events.send(new PutEventsCommand({ Entries: [entry(99), entry(101), entry('101')] }));
    let found = [];
    while (found.length === 0) found = (await (await fetch(`${address}/api/v1/deliveries`)).json()).deliveries;
    assert.deepEqual(found.map((d) => [d.key.split(':')[0], d.target]), [[Entries[1].EventId, queue]]);
    const event = { id: '1', source: 'shop', 'detail-type': 'd', account: '1', time: '2026-04-19T12:42:28Z', region: 'r', resources: [], detail: { price: 100.5 } };
    assert.equal((await events.send(new TestEventPatternCommand({ EventPattern: pattern, Event: JSON.stringify(event) }))).Result, true);
    await events.send(new RemoveTargetsCommand({ ...bus, Rule: 'dear', Ids: ['q'] }));
    await events.send(new DeleteRuleCommand({ ...bus, Name: 'dear' }));
    assert.deepEqual((await events.send(new ListRulesCommand(bus))).Rules, []);
});
