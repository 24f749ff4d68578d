// The drop zone and the list of files on their way.
import { ask, sendJson } from './api.js';
import { fingerprint, forget, unfinished, upload } from './tus.js';

const PHOTO = /\.(jpe?g|png|tiff?|webp|avif|hei[cf])$/i;
const BESIDE = /\.(csv|json|gpx)$/i;
const AT_A_TIME = 3;

const make = (tag, attributes = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
};
const megabytes = (count) => `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`;

// Photos belong together; every video or zip is a scene of its own.
export const scenesOf = (files) => {
    const photos = files.filter((file) => PHOTO.test(file.name) || BESIDE.test(file.name));
    const others = files.filter((file) => !photos.includes(file)).map((file) => [file]);
    return photos.length ? [...others, photos] : others;
};

export function uploads({ say, accepted }) {
    const list = document.getElementById('uploads');
    const drop = document.getElementById('drop');
    const input = document.getElementById('files');
    const preset = () => drop.querySelector('input[name=preset]:checked').value;

    const row = (title) => {
        const parts = {
            bar: make('progress', { max: 1, value: 0 }),
            state: make('span', { className: 'soft' }),
            problem: make('p', { className: 'problem' }),
            stop: make('button', { type: 'button', textContent: 'Stop' })
        };
        parts.problem.setAttribute('role', 'alert');
        parts.bar.setAttribute('aria-label', `Upload of ${title}`);
        parts.stop.setAttribute('aria-label', `Stop the upload of ${title}`);
        parts.item = make('li', {}, make('div', { className: 'row' }, make('span', {}, make('b', { textContent: title }), ' ', parts.state), parts.stop), parts.bar, parts.problem);
        list.prepend(parts.item);
        return parts;
    };

    const send = async (files) => {
        const title = files.length === 1 ? files[0].name : `${files.length} photos`;
        const parts = row(title);
        const chosen = preset();
        const stopping = new AbortController();
        const total = files.reduce((sum, file) => sum + file.size, 0);
        const come = new Map();
        const show = (connected) => {
            const sum = [...come.values()].reduce((a, b) => a + b, 0);
            parts.bar.value = total ? sum / total : 1;
            parts.state.textContent = connected ? `${megabytes(sum)} of ${megabytes(total)}` : 'waiting for the server, then goes on';
        };
        parts.stop.onclick = () => stopping.abort(new DOMException('stopped', 'AbortError'));
        try {
            const queue = [...files.keys()];
            const finished = [];
            const work = async () => {
                for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
                    const file = files[at];
                    finished[at] = await upload(file, (count, connected = true) => { come.set(at, count); show(connected); }, stopping.signal);
                }
            };
            await Promise.all(Array.from({ length: Math.min(AT_A_TIME, files.length) }, work));
            parts.bar.removeAttribute('value');
            parts.state.textContent = 'looking at it';
            parts.stop.disabled = true;
            const found = await begin(finished.map((file) => file.id), chosen);
            finished.forEach((file) => file.done());
            parts.item.remove();
            say(found.begun ? `${found.key} was accepted and waits for its turn.` : `${found.key} is there already.`);
            accepted(found.key);
        } catch (error) {
            stopping.abort(error);
            if (error.name === 'AbortError') {
                parts.item.remove();
                say(`The upload of ${title} was stopped.`);
                return;
            }
            parts.bar.remove();
            parts.state.textContent = '';
            parts.problem.textContent = error.message;
            parts.stop.disabled = false;
            parts.stop.textContent = 'Close';
            parts.stop.setAttribute('aria-label', `Close the message about ${title}`);
            parts.stop.onclick = () => { parts.item.remove(); drop.querySelector('button').focus(); };
        }
    };

    // Dagster may just be starting, or the connection be broken: then the same request is sent again.
    const begin = async (ids, chosen) => {
        let unheard = false;
        for (let tries = 0; ; tries += 1) {
            try {
                return await (await sendJson('/api/videos', { uploads: ids, preset: chosen })).json();
            } catch (error) {
                if (unheard && error.status === 404) {
                    return { key: 'The capture', begun: true }; // it had worked, and only the answer was lost
                }
                if ((error.status && error.status !== 503) || tries >= 100) {
                    throw error;
                }
                unheard = !error.status;
                await new Promise((resolve) => { setTimeout(resolve, 2000); });
            }
        }
    };

    const take = (files) => {
        const going = new Set([...files].map(fingerprint));
        [...list.children].filter((item) => going.has(item.dataset.upload)).forEach((item) => item.remove());
        scenesOf([...files]).forEach(send);
    };

    const offerUnfinished = async () => {
        for (const { key, name, url } of unfinished()) {
            try {
                const answer = await ask(url, { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } });
                const [offset, length] = ['Upload-Offset', 'Upload-Length'].map((header) => Number(answer.headers.get(header)));
                const parts = row(name);
                parts.item.dataset.upload = key;
                parts.bar.value = length ? offset / length : 0;
                parts.state.textContent = `was interrupted at ${Math.round(100 * offset / (length || 1))} %; choose the file again to go on`;
                parts.stop.textContent = 'Forget';
                parts.stop.setAttribute('aria-label', `Forget the upload of ${name}`);
                parts.stop.onclick = () => {
                    forget(key);
                    ask(url, { method: 'DELETE', headers: { 'Tus-Resumable': '1.0.0' } }).catch(() => {});
                    parts.item.remove();
                };
            } catch {
                forget(key);
            }
        }
    };

    document.getElementById('choose').onclick = () => input.click();
    drop.addEventListener('submit', (event) => event.preventDefault());
    input.addEventListener('change', () => { take(input.files); input.value = ''; });
    let depth = 0;
    const over = (event, change) => {
        if (event.dataTransfer?.types.includes('Files')) {
            event.preventDefault();
            depth = Math.max(0, depth + change);
            drop.classList.toggle('over', depth > 0);
        }
    };
    document.addEventListener('dragenter', (event) => over(event, 1));
    document.addEventListener('dragleave', (event) => over(event, -1));
    document.addEventListener('dragover', (event) => over(event, 0));
    document.addEventListener('drop', (event) => {
        if (event.dataTransfer?.files.length) {
            event.preventDefault();
            depth = 0;
            drop.classList.remove('over');
            take(event.dataTransfer.files);
        }
    });
    offerUnfinished();
}
