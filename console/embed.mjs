// Turns the folder that build.mjs wrote into one C++ file that carries every file, plain and compressed, inside the program.
//   node embed.mjs --from DIR --out FILE.cpp
// `.incbin` takes the bytes as they are: no hex, no string limits, and the compiler does not read them. The compressed copies are
// written beside the originals, so the table can name them. The table is sorted by path: find_asset searches it by halves.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

const argument = (name) => {
    const at = process.argv.indexOf(name);
    if (at < 0 || process.argv[at + 1] === undefined) throw new Error(`${name} is missing`);
    return resolve(process.argv[at + 1]);
};
const from = argument('--from');
const out = argument('--out');

const types = {
    html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml',
};

function files(folder) {
    return readdirSync(folder).flatMap((name) => {
        const path = join(folder, name);
        return statSync(path).isDirectory() ? files(path) : [path];
    });
}

const gz = `${out}.gz`;
rmSync(gz, { recursive: true, force: true });
mkdirSync(gz, { recursive: true });
mkdirSync(dirname(out), { recursive: true });

const assets = files(from).map((file) => {
    const path = `/${relative(from, file).split('\\').join('/')}`;
    const body = readFileSync(file);
    const type = types[path.split('.').at(-1)];
    if (!type) throw new Error(`embed.mjs does not know the content type of ${path}`);
    return { path, file, body, type, etag: `\\"${createHash('sha256').update(body).digest('hex').slice(0, 16)}\\"`, immutable: path.startsWith('/assets/') };
}).sort((a, b) => (a.path < b.path ? -1 : 1));

const quoted = (text) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
const lines = [
    '// Written by console/embed.mjs; changes here are lost.',
    '#include "server/console_assets.h"',
    '',
    '#include <array>',
    '#include <cstddef>',
    '',
    '// NOLINTBEGIN',
    'asm(".section .rodata\\n"',
];
assets.forEach((asset, i) => {
    // gzip's header has a time and a system; both are fixed, so equal sources give equal bytes.
    const packed = gzipSync(asset.body, { level: 9 });
    packed[9] = 0xff;
    asset.packed = packed.length < asset.body.length ? packed : Buffer.alloc(0);
    const packedFile = join(gz, `${i}.gz`);
    writeFileSync(packedFile, asset.packed);
    for (const [suffix, file] of [['', asset.file], ['_gz', packedFile]]) {
        lines.push(`    ".balign 16\\n.globl waybill_console_${i}${suffix}\\n.hidden waybill_console_${i}${suffix}\\nwaybill_console_${i}${suffix}:\\n.incbin \\"${quoted(quoted(file))}\\"\\n.byte 0\\n"`);
    }
});
lines.push('    ".text\\n");', '', 'extern "C" {');
assets.forEach((_, i) => lines.push(`extern const char waybill_console_${i}[], waybill_console_${i}_gz[];`));
lines.push('}', '', 'namespace waybill::server {', '', 'std::span<const Asset> console_assets() {', `    static const std::array<Asset, ${assets.length}> table{{`);
assets.forEach((a, i) => lines.push(
    `        {"${quoted(a.path)}", "${a.type}", "${a.etag}", {waybill_console_${i}, ${a.body.length}}, {waybill_console_${i}_gz, ${a.packed.length}}, ${a.immutable}},`));
lines.push('    }};', '    return table;', '}', '', '}  // namespace waybill::server', '// NOLINTEND', '');
writeFileSync(out, lines.join('\n'));

const sum = (key) => assets.reduce((n, a) => n + a[key].length, 0);
console.log(`console: ${assets.length} files, ${Math.round(sum('body') / 1024)} KB, ${Math.round(sum('packed') / 1024)} KB compressed`);
