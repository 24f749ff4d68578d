// Runs after the viewer's start: shows what it does, begins at the chosen view, and keeps visitors in the scene.
const { places, room, floor, reach, orbit, parts, startSeconds } = /*@@VIEW@@*/ {};
const labels = {
    play: 'Play the captured path', pause: 'Pause', orbitCamera: 'Turn around the scene', flyCamera: 'Fly',
    settings: 'Settings', controlsButton: 'Keys and gestures', info: 'About the viewer',
    enterFullscreen: 'Full screen', exitFullscreen: 'Leave full screen', controlsHintClose: 'Close', infoClose: 'Close'
};

const begin = async (viewer) => {
    const { state, events } = viewer;
    const { cameraManager: manager, inputController: input } = viewer.internals;
    keepInside(manager, state);
    // Its speeds are for metres; a scene has the unit in which the cameras look `reach` far.
    for (const device of [input, input._keyboardMouse, input._gamepad]) {
        device.moveSpeed = reach;
    }
    // The viewer goes back to the mode before the path when somebody takes over.
    state.cameraMode = orbit ? 'orbit' : 'fly';
    viewer.seek(startSeconds);
    manager.snap();
    // Its view of everything comes from a fixed side, often behind a wall; the captured start shows more.
    const fire = events.fire;
    events.fire = (name, what, ...rest) => {
        if (name === 'inputEvent' && what === 'frame') {
            state.cameraMode = 'orbit';
            what = 'reset';
        }
        return fire.call(events, name, what, ...rest);
    };
    await new Promise((resolve) => viewer.app.once('frameend', resolve));
    document.getElementById('scene-loading').classList.add('done');
    document.body.classList.add('scene-shown');
    const hint = document.getElementById('scene-hint');
    const touch = state.inputMode === 'touch' || matchMedia('(pointer: coarse)').matches;
    hint.textContent = touch ? 'Drag to look around, pinch to move closer' : 'Drag to look around, scroll to move, space plays the captured path';
    events.on('inputEvent', () => hint.classList.add('used'));
};

const keepInside = (manager, state) => {
    const update = manager.update;
    const focus = manager.camera.position.clone();
    const inside = manager.camera.position.clone();
    // To the floor, then towards the nearest captured place until it is near enough.
    const clamp = (point) => {
        point.y = Math.max(floor, point.y);
        const away = ([x, y, z]) => Math.hypot(point.x - x, point.y - y, point.z - z);
        const nearest = places.reduce((best, place) => (away(place) < away(best) ? place : best));
        const share = Math.min(1, room / away(nearest));
        ['x', 'y', 'z'].forEach((axis, i) => { point[axis] = nearest[i] + (point[axis] - nearest[i]) * share; });
        return point;
    };
    manager.update = (seconds, frame) => {
        update(seconds, frame);
        const { camera } = manager;
        clamp(inside.copy(camera.position));
        if (state.cameraMode === 'anim' || inside.distance(camera.position) < 1e-6 * reach) {
            return;
        }
        camera.calcFocusPoint(focus);
        camera.position.copy(inside);
        // At a wall an orbit goes on around what it looks at; a flight goes on as it looks.
        if (state.cameraMode === 'orbit' && focus.distance(inside) > 0.05 * reach) {
            camera.look(inside, focus);
        }
        manager.snap();
    };
};

try {
    const before = parts ? 85 : 0;
    window.scene.progress(before);
    window.scene.say('Preparing the scene');
    const viewer = await window.sse.viewer;
    for (const [name, label] of Object.entries(labels)) {
        document.querySelector(`.sse-${name}`)?.setAttribute('aria-label', label);
    }
    viewer.events.on('progress:changed', (percent) => window.scene.progress(before + (1 - before / 100) * percent));
    viewer.app.assets.on('error', (error) => window.scene.fail(`The scene in this page is damaged; copy or download it again (${error}).`));
    if (viewer.state.loaded) {
        await begin(viewer);
    } else {
        viewer.events.once('firstFrame', () => begin(viewer));
    }
} catch (error) {
    window.scene.fail(`The scene cannot be shown here (${error}). It needs a browser with WebGL 2 or WebGPU.`);
}
