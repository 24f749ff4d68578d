// Shows /openapi.json as text: every request with its parameters, body and answers.

const make = (tag, text = '', ...children) => {
    const element = Object.assign(document.createElement(tag), { textContent: text });
    element.append(...children);
    return element;
};
// The little Markdown that the descriptions use: lists, bold, code.
const prose = (text, into) => {
    let list = null;
    for (const block of (text || '').trim().split(/\n(?=- )|\n\n/)) {
        const item = block.startsWith('- ');
        const line = make(item ? 'li' : 'p');
        for (const piece of block.replace(/^- /, '').replace(/\s+/g, ' ').split(/(`[^`]*`|\*\*[^*]*\*\*)/)) {
            const code = piece.startsWith('`');
            line.append(code ? make('code', piece.slice(1, -1)) : piece.startsWith('**') ? make('b', piece.slice(2, -2)) : piece);
        }
        if (item) {
            list = list || into.appendChild(make('ul'));
            list.append(line);
        } else {
            list = null;
            into.append(line);
        }
    }
    return into;
};

const answer = await fetch('/openapi.json');
const api = await answer.json();
const resolve = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split('/').pop()] : schema) || {};
const kind = (schema) => {
    const found = resolve(schema);
    if (found.anyOf) {
        return found.anyOf.map(kind).join(' or ');
    }
    if (found.enum) {
        return found.enum.join(' | ');
    }
    return found.type === 'array' ? `list of ${kind(found.items)}` : (found.format === 'binary' ? 'file' : found.title && found.properties ? found.title : found.type || '');
};
const table = (rows) => {
    const body = make('tbody');
    for (const [name, type, text] of rows) {
        body.append(make('tr', '', make('td', '', make('code', name)), make('td', type), prose(text, make('td'))));
    }
    return make('table', '', body);
};
const properties = (schema) => Object.entries(resolve(schema).properties || {}).map(([name, found]) => [name, kind(found), found.description || resolve(found).description || '']);

prose(api.info.description, document.getElementById('description'));
const place = document.getElementById('operations');
place.replaceChildren();
const groups = new Map();
for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
        const group = operation.tags?.[0] || 'Other';
        groups.set(group, [...(groups.get(group) || []), [method.toUpperCase(), path, operation]]);
    }
}
for (const [group, operations] of groups) {
    place.append(make('h2', group));
    for (const [method, path, operation] of operations) {
        const box = make('details', '', make('summary', '', make('code', `${method} ${path}`), ` ${operation.summary || ''}`));
        prose(operation.description, box);
        const parameters = (operation.parameters || []).map((one) => [one.name, one.in, one.description || '']);
        if (parameters.length) {
            box.append(make('h3', 'Parameters'), table(parameters));
        }
        for (const [type, body] of Object.entries(operation.requestBody?.content || {})) {
            box.append(make('h3', `Body: ${type}`), table(properties(body.schema)));
        }
        box.append(make('h3', 'Answers'));
        box.append(table(Object.entries(operation.responses || {}).map(([status, one]) => [status, kind(Object.values(one.content || {})[0]?.schema), one.description])));
        for (const one of Object.values(operation.responses || {})) {
            const rows = properties(Object.values(one.content || {})[0]?.schema);
            if (rows.length > 1) {
                box.append(make('h3', kind(Object.values(one.content)[0].schema)), table(rows));
            }
        }
        place.append(box);
    }
}
