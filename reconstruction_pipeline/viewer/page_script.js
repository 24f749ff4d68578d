// Runs between the viewer's set-up script and its start, so that it can still change what the viewer is given.
const lens = /*@@LENS@@*/ [];
const { options, settings } = window.sse;

// The viewer applies its field of view to the longer side of the window; ours comes from a photograph of another
// shape. Take the smallest one that shows the whole photograph.
const aspect = window.innerWidth / window.innerHeight;
const fit = ([tanX, tanY]) => {
    const tan = aspect > 1 ? Math.max(tanX, tanY * aspect) : Math.max(tanY, tanX / aspect);
    return Math.min(120, (2 * Math.atan(tan) * 180) / Math.PI);
};

settings.cameras[0].initial.fov = fit(lens[0]);
settings.animTracks[0].keyframes.values.fov = lens.map(fit);
options.noanim = /*@@PAUSED@@*/ true;
