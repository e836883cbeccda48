// Bundles the console into one folder of files whose names carry their own hash, so a browser may keep them for ever.
// Used by people (`npm run build`) and by CMake (`node build.mjs --out DIR`). It never writes outside that folder.
import { build, context } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const argument = (name) => {
    const at = process.argv.indexOf(name);
    return at < 0 ? undefined : process.argv[at + 1];
};
const out = resolve(argument('--out') ?? join(here, 'dist'));
const watch = process.argv.includes('--watch');

const options = {
    absWorkingDir: here,
    entryPoints: { app: 'src/main.tsx', boot: 'src/boot.ts', style: 'src/styles.css' },
    bundle: true,
    minify: !watch,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    outdir: out,
    entryNames: 'assets/[name].[hash]',
    legalComments: 'none',
    metafile: true,
    write: false,
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'warning',
};

// index.html names the hashed files; it is written last, so a half-written folder is never served as whole.
function write(result) {
    rmSync(out, { recursive: true, force: true });
    mkdirSync(join(out, 'assets'), { recursive: true });
    const names = {};
    for (const file of result.outputFiles) {
        writeFileSync(file.path, file.contents);
        const name = file.path.slice(out.length + 1);
        names[name.replace(/^assets\/(\w+)\..*\.(\w+)$/, '$1.$2')] = name;
    }
    const favicon = readFileSync(join(here, 'src/favicon.svg'));
    const hash = createHash('sha256').update(favicon).digest('hex').slice(0, 8).toUpperCase();
    writeFileSync(join(out, `assets/favicon.${hash}.svg`), favicon);
    const html = readFileSync(join(here, 'src/index.html'), 'utf8')
        .replace('%FAVICON%', `assets/favicon.${hash}.svg`)
        .replace('%BOOT%', names['boot.js'])
        .replace('%CSS%', names['style.css'])
        .replace('%JS%', names['app.js']);
    writeFileSync(join(out, 'index.html'), html);
}

if (watch) {
    const rewrite = { name: 'rewrite', setup: (b) => b.onEnd((r) => { if (r.outputFiles) write(r); }) };
    await (await context({ ...options, plugins: [rewrite] })).watch();
    console.log(`watching; writes ${out}`);
} else {
    write(await build(options));
}
