// The page: asks the server for all videos again and again, and shows what changed.
import { ask, sendJson } from './api.js';
import { ACTIVE, Scenes } from './scenes.js';
import { uploads } from './uploads.js';

const QUICK = 1000;
const SLOW = 4000;
const UNSEEN = 15000;

const byId = (id) => document.getElementById(id);
const say = (text) => { byId('say').textContent = text; };
// What somebody asked for and did not get stays to be read; that the server is away goes by itself.
const wrong = (error) => {
    byId('wrong').textContent = error?.message || '';
    byId('wrong').hidden = !error;
};
const away = (isAway) => { byId('offline').hidden = !isAway; };

let role = 'read';
let tag = '';
let timer = 0;

const confirmed = (key) => new Promise((resolve) => {
    byId('confirm-title').textContent = `Delete ${key}?`;
    byId('confirm-text').textContent = 'The scene, everything made from it and the uploaded file are deleted for good.';
    const dialog = byId('confirm');
    dialog.returnValue = 'no';
    dialog.onclose = () => resolve(dialog.returnValue === 'yes');
    dialog.showModal();
});

const scenes = new Scenes({
    cancel: (key) => act(`/api/videos/${key}/cancel`, 'POST'),
    remove: async (key) => {
        if (await confirmed(key)) {
            await act(`/api/videos/${key}`, 'DELETE');
        }
    }
}, say);

function act(path, method) {
    wrong(null);
    return ask(path, { method }).catch(wrong).then(soon);
}

function soon() {
    clearTimeout(timer);
    look();
}

async function look() {
    clearTimeout(timer);
    let wait = document.hidden ? UNSEEN : SLOW;
    try {
        const answer = await ask('/api/videos', { headers: tag ? { 'If-None-Match': tag } : {} });
        if (answer.status === 200) {
            tag = answer.headers.get('ETag');
            scenes.show((await answer.json()).videos, role);
        }
        away(false);
        if (scenes.videos.some((video) => [...ACTIVE, 'deleting'].includes(video.state)) && !document.hidden) {
            wait = QUICK;
        }
    } catch (error) {
        if (error.status === 401) {
            login();
            return;
        }
        away(true);
    }
    timer = setTimeout(look, wait);
}

function login() {
    const dialog = byId('login');
    byId('login-form').onsubmit = async (event) => {
        event.preventDefault();
        try {
            await sendJson('/api/session', { token: byId('token').value });
            dialog.close();
            start();
        } catch (error) {
            byId('login-problem').textContent = error.message;
        }
    };
    dialog.oncancel = (event) => event.preventDefault();
    if (!dialog.open) {
        dialog.showModal();
    }
}

async function start() {
    try {
        const session = await (await ask('/api/session')).json();
        if (session.needs_token && !session.role) {
            login();
            return;
        }
        role = session.role;
        byId('send').hidden = role === 'read';
        tag = '';
        look();
    } catch {
        away(true);
        timer = setTimeout(start, SLOW);
    }
}

document.addEventListener('visibilitychange', () => { if (!document.hidden) { soon(); } });
uploads({ say, accepted: soon });
start();
