// The scenes as cards, each built once and then only changed, so that focus and open lists stay where they are.

const WAITING = { new: 'Not begun', queued: 'Waits for its turn', canceling: 'Stopping', deleting: 'Being deleted', canceled: 'Canceled', failed: 'Stopped', done: '' };
export const ACTIVE = ['queued', 'running', 'canceling'];
const MEANING = { A: 'Excellent', B: 'Good', C: 'Usable', D: 'Weak', F: 'Failed' };

const make = (tag, className = '', attributes = {}) => Object.assign(document.createElement(tag), { className, ...attributes });
const hidden = (text) => make('span', 'hidden', { textContent: text });
const size = (count) => (count === null ? '' : count < 1e6 ? `${Math.ceil(count / 1e3)} kB` : `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`);
const percent = (share) => `${Math.floor(100 * share)} %`;
const set = (element, text) => { if (element.textContent !== text) { element.textContent = text; } };

export const stateText = (video) => {
    if (video.state === 'running') {
        return `${video.stage_label || 'Starting'} · ${percent(video.progress)}`;
    }
    return WAITING[video.state];
};

export class Card {
    constructor(video, actions) {
        this.key = video.key;
        const part = (tag, className, attributes) => make(tag, className, attributes);
        this.item = part('li', 'scene');
        this.item.dataset.name = video.key;
        this.picture = part('a', '');
        this.image = part('img', '', { alt: '', width: 4, height: 3, loading: 'lazy', decoding: 'async' });
        this.empty = part('span', 'empty');
        this.grade = part('span', 'grade');
        const frame = part('div', 'picture');
        this.picture.append(this.image);
        frame.append(this.picture, this.empty, this.grade);
        const name = part('div', 'name');
        this.time = part('time', '');
        name.append(part('h2', '', { textContent: video.key }), this.time);
        this.facts = part('p', 'facts');
        this.state = part('p', 'state');
        this.bar = part('progress', '', { max: 1 });
        this.bar.setAttribute('aria-label', `Progress of ${video.key}`);
        this.detail = part('p', 'detail');
        this.sentence = part('p', 'sentence');
        const links = part('p', 'links');
        this.open = part('a', 'primary', { textContent: 'Open' });
        this.report = part('a', '', { textContent: 'Report' });
        this.cancel = part('button', '', { type: 'button', textContent: 'Cancel', onclick: () => actions.cancel(video.key) });
        this.remove = part('button', 'danger', { type: 'button', textContent: 'Delete', onclick: () => actions.remove(video.key) });
        for (const control of [this.open, this.report, this.cancel, this.remove]) {
            control.append(hidden(` ${video.key}`));
        }
        links.append(this.open, this.report, this.cancel, this.remove);
        this.details = part('details', '');
        const summary = part('summary', '', { textContent: 'Downloads' });
        summary.append(hidden(` of ${video.key}`));
        this.files = part('ul', '');
        this.details.append(summary, this.files);
        const text = part('div', 'text');
        text.append(name, this.facts, this.state, this.bar, this.detail, this.sentence, links, this.details);
        this.item.append(frame, text);
    }

    update(video, role) {
        const shown = JSON.stringify([video, role]);
        if (shown === this.shown) {
            return;
        }
        this.shown = shown;
        this.video = video;
        const active = ACTIVE.includes(video.state);
        const running = video.state === 'running';
        const target = video.viewer || video.report;
        this.picture.hidden = !video.thumbnail;
        if (video.thumbnail) {
            const address = `${video.thumbnail}?${encodeURIComponent(video.run_id)}-${video.state}`;
            if (!this.image.src.endsWith(address)) {
                this.image.src = address;
            }
            if (target) {
                this.picture.href = target;
                this.picture.setAttribute('aria-label', `${video.viewer ? 'Open the scene' : 'Report of'} ${video.key}`);
            }
        }
        this.empty.hidden = Boolean(video.thumbnail);
        set(this.empty, active ? 'in the making' : 'no picture');
        this.grade.hidden = !video.grade || active;
        this.grade.className = `grade grade-${video.grade || 'none'}`;
        this.grade.title = MEANING[video.grade] || '';
        this.grade.replaceChildren(hidden('Grade '), video.grade || '');
        const made = video.created_at ? new Date(1000 * video.created_at) : null;
        set(this.time, made ? made.toLocaleDateString() : '');
        this.time.title = made ? made.toLocaleString() : '';
        set(this.facts, video.facts.join(' · '));
        this.facts.hidden = !video.facts.length || active;
        set(this.state, stateText(video));
        this.state.hidden = !stateText(video);
        this.bar.hidden = !active;
        if (running) {
            this.bar.value = video.progress;
        } else {
            this.bar.removeAttribute('value');
        }
        this.detail.hidden = !active;
        set(this.detail, video.detail);
        const sentence = video.error || (video.state === 'done' ? (video.warnings[0] || '') : '');
        this.sentence.hidden = !sentence || active;
        this.sentence.classList.toggle('stopped', Boolean(video.error));
        set(this.sentence, sentence);
        this.sentence.title = sentence;
        this.link(this.open, video.viewer);
        this.link(this.report, video.report);
        this.cancel.hidden = !active || role === 'read';
        this.cancel.disabled = video.state === 'canceling';
        this.remove.hidden = active || role !== 'admin';
        this.remove.disabled = video.state === 'deleting';
        this.list(video);
    }

    link(element, address) {
        element.hidden = !address;
        if (address) {
            element.href = address;
        } else {
            element.removeAttribute('href');
        }
    }

    list(video) {
        const files = video.files.filter((file) => !['viewer.html', 'report.html', 'thumbnail.jpg'].includes(file.name));
        this.details.hidden = !files.length;
        const names = files.map((file) => file.name).join();
        if (names === this.names) {
            return;
        }
        this.names = names;
        this.files.replaceChildren(...files.map((file) => {
            const item = make('li');
            const link = make('a', '', { href: file.url, textContent: file.label, download: `${video.key}-${file.name}` });
            item.append(link, ' ', make('small', '', { textContent: size(file.bytes) }));
            return item;
        }));
    }
}

const ORDERS = {
    name: (a, b) => (a.key < b.key ? -1 : 1),
    made: (a, b) => (b.created_at || 0) - (a.created_at || 0) || ORDERS.name(a, b),
    grade: (a, b) => 'ABCDF'.indexOf(a.grade || 'F') - 'ABCDF'.indexOf(b.grade || 'F') || ORDERS.name(a, b)
};

export class Scenes {
    constructor(actions, say) {
        this.actions = actions;
        this.say = say;
        this.cards = new Map();
        this.list = document.getElementById('scenes');
        this.search = document.getElementById('search');
        this.sort = document.getElementById('sort');
        this.search.addEventListener('input', () => this.arrange());
        this.sort.addEventListener('change', () => this.arrange());
    }

    show(videos, role) {
        const before = this.videos && new Map(this.videos.map((video) => [video.key, video]));
        this.videos = videos;
        this.role = role;
        const keys = new Set(videos.map((video) => video.key));
        for (const [key, card] of this.cards) {
            if (!keys.has(key)) {
                const focused = card.item.contains(document.activeElement);
                card.item.remove();
                this.cards.delete(key);
                this.say(`${key} was deleted.`);
                if (focused) {
                    this.list.focus();
                }
            }
        }
        for (const video of videos) {
            const card = this.cards.get(video.key) || new Card(video, this.actions);
            this.cards.set(video.key, card);
            card.update(video, role);
            const last = before?.get(video.key);
            if (last && (last.state !== video.state || last.stage !== video.stage)) {
                this.say(`${video.key}: ${video.error || stateText(video).split(' · ')[0] || 'the scene is ready'}`);
            }
        }
        this.arrange();
    }

    arrange() {
        const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
        const ordered = [...this.videos].sort(ORDERS[this.sort.value]);
        let shown = 0;
        ordered.forEach((video, at) => {
            const { item } = this.cards.get(video.key);
            item.hidden = !words.every((word) => video.key.includes(word));
            shown += !item.hidden;
            if (this.list.children[at] !== item) {
                this.list.insertBefore(item, this.list.children[at] || null);
            }
        });
        document.getElementById('tools').hidden = this.videos.length < 2;
        set(document.getElementById('count'), shown === this.videos.length ? '' : `${shown} of ${this.videos.length}`);
        const nothing = document.getElementById('nothing');
        nothing.hidden = shown > 0;
        set(nothing, this.videos.length ? 'No scene matches.' : 'No scene yet.');
    }
}
