// Search, filter and sort the cards in place. Without this script the page shows them all, the newest first.
const list = document.getElementById('scenes');
if (list) {
    const cards = [...list.children];
    const search = document.getElementById('search');
    const sort = document.getElementById('sort');
    const picks = [...document.querySelectorAll('.pick')];
    const count = document.getElementById('count');
    const nothing = document.getElementById('nothing');

    const byName = (a, b) => (a.dataset.name < b.dataset.name ? -1 : 1);
    // Cards without the number come last, whichever way the others go.
    const byNumber = (field, sign) => (a, b) => {
        const [x, y] = [a, b].map((card) => (field in card.dataset ? sign * Number(card.dataset[field]) : Infinity));
        return x === y ? byName(a, b) : x < y ? -1 : 1;
    };
    const place = (card) => 'ABCDF–'.indexOf(card.dataset.grade);
    const orders = {
        name: byName,
        made: byNumber('made', -1),
        psnr: byNumber('psnr', -1),
        bytes: byNumber('bytes', 1),
        grade: (a, b) => place(a) - place(b) || byNumber('psnr', -1)(a, b)
    };

    const show = () => {
        const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        const grades = picks.filter((pick) => pick.getAttribute('aria-pressed') === 'true').map((pick) => pick.dataset.grade);
        let shown = 0;
        for (const card of cards) {
            const match = words.every((word) => card.dataset.name.includes(word)) &&
                (!grades.length || grades.includes(card.dataset.grade));
            card.hidden = !match;
            shown += match;
        }
        count.textContent = shown === cards.length ? '' : `${shown} of ${cards.length}`;
        nothing.hidden = shown > 0;
    };
    const order = () => list.append(...cards.sort(orders[sort.value]));

    search.addEventListener('input', show);
    sort.addEventListener('change', order);
    for (const pick of picks) {
        pick.addEventListener('click', () => {
            pick.setAttribute('aria-pressed', String(pick.getAttribute('aria-pressed') !== 'true'));
            show();
        });
    }
    document.getElementById('clear').addEventListener('click', () => {
        search.value = '';
        picks.forEach((pick) => pick.setAttribute('aria-pressed', 'false'));
        show();
        search.focus();
    });
    document.getElementById('tools').hidden = false;
    // A browser keeps the fields' values when it comes back to the page.
    show();
    if (sort.value !== 'made') {
        order();
    }
}
