// Requests to the server; an answer that refuses becomes an Error with its one sentence.

export class Refusal extends Error {
    constructor(sentence, status) {
        super(sentence);
        this.status = status;
    }
}

export const sentenceOf = async (answer) => {
    try {
        return (await answer.json()).detail || `The server answered ${answer.status}.`;
    } catch {
        return `The server answered ${answer.status}.`;
    }
};

export async function ask(path, options = {}) {
    const answer = await fetch(path, { credentials: 'same-origin', ...options });
    if (!answer.ok && answer.status !== 304) {
        throw new Refusal(await sentenceOf(answer), answer.status);
    }
    return answer;
}

export const sendJson = (path, body, method = 'POST') => ask(path, {
    method,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body)
});
