import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, relative } from '../src/format.js';
import { en, ko, language, t, tn } from '../src/i18n.js';

const holes = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort();

test('both languages have the same keys, with the same placeholders', () => {
    assert.deepEqual(Object.keys(ko).sort(), Object.keys(en).sort());
    for (const [key, text] of Object.entries(en)) {
        const other = ko[key as keyof typeof ko];
        assert.ok(other.trim() !== '', key);
        assert.deepEqual(holes(other), holes(text), key);
    }
});

test('Korean is Korean', () => {
    const same = Object.keys(en).filter((k) => en[k as keyof typeof en] === ko[k as keyof typeof ko]);
    assert.deepEqual(same.sort(), ['app.name', 'execution.tab.json']);
});

test('numbers of things follow the language', () => {
    language.value = 'en';
    assert.equal(tn('overview.shown', 1), '1 pipeline');
    assert.equal(tn('overview.shown', 5000), '5,000 pipelines');
    language.value = 'ko';
    assert.equal(tn('overview.shown', 1), '파이프라인 1개');
    language.value = 'en';
    assert.equal(t('search.none', { q: '{n}' }), 'Nothing found for “{n}”');
});

test('lengths show their two largest units', () => {
    assert.equal(duration(0), '0s');
    assert.equal(duration(840), '840ms');
    assert.equal(duration(61_000), '1m 1s');
    assert.equal(duration(3_600_000), '1h');
    assert.equal(duration(100 * 3_600_000), '4d 4h');
    assert.equal(duration(null), '–');
    language.value = 'ko';
    assert.equal(duration(61_000), '1분 1초');
    assert.equal(relative(0, 120_000), '2분 전');
    language.value = 'en';
    assert.equal(relative(0, 1000), 'now');
    assert.equal(relative(0, 120_000), '2m ago');
    assert.equal(relative(120_000, 0), 'in 2m');
    assert.equal(relative(null, 0), '–');
});
