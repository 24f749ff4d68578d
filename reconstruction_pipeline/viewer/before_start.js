// Runs between the viewer's set-up script and its start, so that it can still change what the viewer is given.
const { lens, start, paused, parts } = /*@@VIEW@@*/ {};
const { options, settings } = window.sse;

// The viewer applies its field of view to the longer side of the window; ours comes from a photograph of another
// shape. Take the smallest one that shows the whole photograph.
const aspect = window.innerWidth / window.innerHeight;
const fit = ([tanX, tanY]) => {
    const tan = aspect > 1 ? Math.max(tanX, tanY * aspect) : Math.max(tanY, tanX / aspect);
    return Math.min(120, (2 * Math.atan(tan) * 180) / Math.PI);
};

settings.cameras[0].initial.fov = fit(lens[start]);
settings.animTracks[0].keyframes.values.fov = lens.map(fit);
options.noanim = paused;

if (!parts && location.protocol === 'file:') {
    window.scene.fail('This page loads its scene piece by piece, which browsers do not allow from a disk: put its folder on a web server.');
}
if (window.scene.parts.length !== parts) {
    window.scene.fail('This page is not complete, so its scene cannot be shown; copy or download it again.');
}
const decoded = (part) => {
    const text = atob(part);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) {
        bytes[i] = text.charCodeAt(i);
    }
    return bytes;
};
// A streamed scene has no parts in the page: the viewer fetches what it needs of it.
if (parts) {
    const scene = new Blob(window.scene.parts.map(decoded));
    window.scene.parts.length = 0;
    options.contents = Promise.resolve(new Response(scene, { headers: { 'content-length': String(scene.size) } }));
}

// The list of keys covers a quarter of the picture: it opens when asked for.
try {
    if (localStorage.getItem('controlsPanelOpen') === null) {
        localStorage.setItem('controlsPanelOpen', 'false');
    }
} catch {
    // Storage may be denied to a page from disk; the list is then open.
}
