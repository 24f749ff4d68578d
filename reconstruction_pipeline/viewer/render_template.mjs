// Run once at set-up: renders the viewer's own single-file page with marks where Python puts a scene.
// node render_template.mjs OUT.html LICENSE
import { readFileSync, writeFileSync } from 'node:fs';

import { renderViewerHtml } from '@playcanvas/supersplat-viewer';

const [out, licence] = process.argv.slice(2);
const notice = readFileSync(licence, 'utf8').replaceAll('--', '- -');

// Nothing may leave the page: with this policy a request fails even if a later viewer tries one.
const policy = [
    "default-src 'none'",
    "script-src 'unsafe-inline' 'wasm-unsafe-eval' blob: data:",
    "style-src 'unsafe-inline'",
    'img-src data: blob:',
    'connect-src data: blob:',
    'worker-src blob: data:',
    'font-src data:',
    "form-action 'none'"
].join('; ');

let page = renderViewerHtml({
    inlineCss: true,
    inlineJs: true,
    backgroundColor: [0, 0, 0],
    headExtras: `<meta http-equiv="Content-Security-Policy" content="${policy}">\n<!--@@HEAD@@-->`,
    bodyStartExtras: '<!--@@BODY@@-->',
    bootstrap: '@@BOOTSTRAP@@'
});

const replaceOnce = (text, by) => {
    if (page.split(text).length !== 2) {
        throw new Error(`the viewer's page does not have exactly one ${text}`);
    }
    page = page.replace(text, () => by);
};

const [title] = page.match(/<title>[^<]*<\/title>/) ?? [''];
replaceOnce(title, `<!--\nThis page contains SuperSplat Viewer:\n${notice}-->\n        <title>@@TITLE@@</title>`);
// The page adds limits and a start view to the running viewer, so it must get hold of it.
replaceOnce('createViewer({ container: document.body,', 'window.sse.viewer = createViewer({ container: document.body,');
replaceOnce('    const handle = {\n        app,', '    const handle = {\n        internals: viewer,\n        app,');
// The scene comes last, so that the page can tell how much of it has arrived.
replaceOnce('</script>\n    </body>', '</script>\n<!--@@SCENE@@-->\n    </body>');
for (const mark of ['@@TITLE@@', '"@@BOOTSTRAP@@"', '<!--@@HEAD@@-->', '<!--@@BODY@@-->', '<!--@@SCENE@@-->']) {
    if (page.split(mark).length !== 2) {
        throw new Error(`the viewer's page does not have exactly one ${mark}`);
    }
}
writeFileSync(out, page);
