'use strict';
// The review queue by keyboard. Everything here is a link or a form that works without it.
(() => {
  const queue = document.querySelector('[data-queue]');
  const help = document.getElementById('help');
  const status = document.getElementById('status');
  const hint = document.getElementById('keys');
  if (!queue || !help.showModal) return;
  hint.hidden = false;
  const items = [...queue.children];
  let armed = null;

  const here = () => items.indexOf(document.activeElement.closest('[data-queue] > li'));
  const go = (place) => {
    const item = items[Math.max(0, Math.min(items.length - 1, place))];
    item.focus();
    item.scrollIntoView({ block: 'nearest' });
  };
  const button = (item, name) => item?.querySelector(`button[name=do][value=${name}]`);
  const press = (item, name) => {
    const found = button(item, name);
    if (found) found.form.requestSubmit(found);
  };
  const disarm = () => {
    armed?.classList.remove('armed');
    armed = null;
  };
  // It takes credits back: the first press says so.
  const reject = (item) => {
    if (!button(item, 'reject')) return;
    if (armed === item) return press(item, 'reject');
    disarm();
    armed = item;
    item.classList.add('armed');
    status.textContent = 'Press r again to reject';
  };

  const keys = {
    j: (place) => go(place + 1),
    ArrowDown: (place) => go(place + 1),
    k: (place) => go(place < 0 ? 0 : place - 1),
    ArrowUp: (place) => go(place < 0 ? 0 : place - 1),
    Enter: (place) => items[place].querySelector('[data-open]').click(),
    e: (place) => items[place].querySelector('input[name=reason]')?.focus(),
    c: (place) => press(items[place], 'clear'),
    r: (place) => reject(items[place]),
    '?': () => help.showModal(),
  };
  const anywhere = ['j', 'k', 'ArrowDown', 'ArrowUp', '?'];

  addEventListener('keydown', (event) => {
    const target = event.target;
    if (event.key === 'Escape' && target.matches('[data-queue] input')) return target.closest('li').focus();
    if (event.ctrlKey || event.metaKey || event.altKey || help.open || event.defaultPrevented) return;
    if (target.matches('input, select, textarea, summary')) return;
    const run = keys[event.key];
    const place = here();
    if (!run || (place < 0 && !anywhere.includes(event.key))) return;
    // A link or button under the focus does what it always does.
    if (event.key === 'Enter' && target !== items[place]) return;
    if (event.key.startsWith('Arrow') && place < 0) return;
    if (event.key !== 'r') disarm();
    event.preventDefault();
    run(place);
  });
  queue.addEventListener('focusout', (event) => {
    if (armed && !armed.contains(event.relatedTarget)) disarm();
  });
})();
