// Bundles every test/*.test.ts and runs them with node's own test runner. The tests need no browser.
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = mkdtempSync(join(tmpdir(), 'waybill-console-test-'));
const tests = readdirSync(here).filter((name) => name.endsWith('.test.ts'));
try {
    await build({ absWorkingDir: here, entryPoints: tests, bundle: true, platform: 'node', format: 'esm', target: 'node18', outdir: out, outExtension: { '.js': '.mjs' }, logLevel: 'warning' });
    const files = tests.map((name) => join(out, name.replace(/\.ts$/, '.mjs')));
    const { status } = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' });
    process.exitCode = status ?? 1;
} finally {
    rmSync(out, { recursive: true, force: true });
}
