// A file to the server in pieces, by the tus protocol (version 1.0.0): after a broken connection, a restarted server or
// a closed page it goes on where it was.
import { ask, Refusal, sentenceOf } from './api.js';

const TUS = { 'Tus-Resumable': '1.0.0' };
const PIECE = 8 * 1024 * 1024;
const LONGEST_PAUSE = 10000;
const PREFIX = 'upload:';

export const fingerprint = (file) => `${PREFIX}${file.name}/${file.size}/${file.lastModified}`;
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const pause = (ms, signal) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});

// Uploads that this browser began and did not finish: [{key, name, url}].
export const unfinished = () => Object.keys(localStorage).filter((key) => key.startsWith(PREFIX)).map((key) => ({
    key, name: key.slice(PREFIX.length).split('/')[0], url: localStorage.getItem(key)
}));
export const forget = (key) => localStorage.removeItem(key);

async function offsetOf(url, signal) {
    const answer = await ask(url, { method: 'HEAD', headers: TUS, signal });
    return Number(answer.headers.get('Upload-Offset'));
}

async function begin(file, signal) {
    const answer = await ask('/api/uploads', {
        method: 'POST',
        headers: { ...TUS, 'Upload-Length': String(file.size), 'Upload-Metadata': `filename ${base64(file.name)},hold` },
        signal
    });
    return answer.headers.get('Location');
}

// fetch() cannot tell how much of a body has gone; XMLHttpRequest can.
const patch = (url, file, offset, onprogress, signal) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    signal.addEventListener('abort', stop, { once: true });
    request.open('PATCH', url);
    for (const [name, value] of Object.entries({ ...TUS, 'Upload-Offset': offset, 'Content-Type': 'application/offset+octet-stream' })) {
        request.setRequestHeader(name, value);
    }
    request.upload.onprogress = (event) => onprogress(offset + event.loaded);
    request.onabort = () => reject(signal.reason);
    request.onerror = () => reject(new TypeError('the connection broke'));
    request.onload = async () => {
        signal.removeEventListener('abort', stop);
        if (request.status === 204) {
            resolve(Number(request.getResponseHeader('Upload-Offset')));
        } else {
            reject(new Refusal(await sentenceOf(new Response(request.responseText, { status: request.status || 500 })), request.status));
        }
    };
    request.send(file.slice(offset, offset + PIECE));
});

// What another try can cure: no connection, a server that is just starting, another offset, too many requests.
const passes = (error) => !(error instanceof Refusal) || error.status >= 500 && error.status !== 507 || [408, 409, 429].includes(error.status);

// Resolves to the upload's id once every byte has come; rejects when it was refused or `signal` was aborted.
export async function upload(file, onprogress, signal) {
    const key = fingerprint(file);
    let url = localStorage.getItem(key);
    let offset = -1;
    let wait = 500;
    for (;;) {
        try {
            if (url && offset < 0) {
                offset = await offsetOf(url, signal).catch((error) => {
                    if (error instanceof Refusal && error.status === 404) {
                        return -1;
                    }
                    throw error;
                });
            }
            if (offset < 0) {
                url = await begin(file, signal);
                localStorage.setItem(key, url);
                offset = 0;
            }
            onprogress(offset, true);
            while (offset < file.size) {
                offset = await patch(url, file, offset, onprogress, signal);
                wait = 500;
            }
            return { id: url.split('/').pop(), done: () => forget(key) };
        } catch (error) {
            if (signal.aborted) {
                forget(key);
                if (url) {
                    fetch(url, { method: 'DELETE', headers: TUS }).catch(() => {});
                }
                throw signal.reason;
            }
            if (!passes(error)) {
                forget(key);
                throw error;
            }
            onprogress(Math.max(0, offset), false);
            await pause(wait, signal);
            wait = Math.min(2 * wait, LONGEST_PAUSE);
            offset = -1;
        }
    }
}
