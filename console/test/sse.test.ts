import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs, SseParser } from '../src/sse.js';

const text = ': hello\n\nevent: transition\nid: 7\ndata: {"a":1}\n\nid: 8\ndata: one\r\ndata: two\r\n\r\ndata\n\nevent: nothing\n\n';

test('messages come out the same, however the bytes are cut', () => {
    const whole = new SseParser().push(text);
    assert.deepEqual(whole, [
        { event: 'transition', id: '7', data: '{"a":1}' }, { event: 'message', id: '8', data: 'one\ntwo' }, { event: 'message', id: '8', data: '' },
    ]);
    for (let size = 1; size < text.length; size++) {
        const parser = new SseParser();
        const out = [];
        for (let at = 0; at < text.length; at += size) out.push(...parser.push(text.slice(at, at + size)));
        assert.deepEqual(out, whole, `cut every ${size}`);
    }
});

test('an unfinished message is not given', () => {
    const parser = new SseParser();
    assert.deepEqual(parser.push('id: 3\ndata: x\n'), []);
    assert.deepEqual(parser.push('\n'), [{ event: 'message', id: '3', data: 'x' }]);
});

test('backoff doubles to fifteen seconds and is spread', () => {
    assert.equal(backoffMs(1, 0), 500);
    assert.equal(backoffMs(3, 0), 2000);
    assert.equal(backoffMs(50, 0), 15_000);
    assert.equal(backoffMs(50, 1), 10_000);
});
