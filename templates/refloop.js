'use strict';
(() => {
  const all = (selector, run) => document.querySelectorAll(selector).forEach(run);
  const status = document.getElementById('status');
  const say = (text) => {
    status.textContent = '';
    setTimeout(() => { status.textContent = text; }, 50);
  };

  // Where the clipboard is refused (plain http on a public name) the text is left selected.
  const copy = async (source) => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      getSelection().selectAllChildren(source);
      return document.execCommand('copy');
    }
  };

  // The heights of a line's points, first to last: the end of each of its segments.
  const points = (line) => {
    const heights = [];
    line.getAttribute('d').replace(/([MHC])([^MHC]*)/g, (_, kind, text) => {
      heights.push(kind === 'H' ? heights.at(-1) : Number(text.split(/[ ,]/).pop()));
      return '';
    });
    return heights;
  };

  all('[data-copy]', (button) => {
    const label = button.firstElementChild;
    button.hidden = false;
    button.addEventListener('click', async () => {
      const done = await copy(document.querySelector(button.dataset.copy));
      say(done ? 'Copied' : 'Selected, copy it with the keyboard');
      label.textContent = done ? 'Copied' : 'Selected';
      setTimeout(() => { label.textContent = 'Copy'; }, 2000);
    });
  });

  all('[data-reveal]', (button) => {
    const field = document.querySelector(button.dataset.reveal);
    button.hidden = false;
    button.addEventListener('click', () => {
      const shown = field.type === 'password';
      field.type = shown ? 'text' : 'password';
      button.setAttribute('aria-pressed', shown);
    });
  });

  // What a chart shows at a place, read out of the table that has the same figures.
  all('[data-charts]', (charts) => {
    const rows = [...document.querySelector(charts.dataset.charts).tBodies[0].rows].reverse();
    charts.querySelectorAll('.canvas').forEach((canvas, column) => {
      const svg = canvas.querySelector('svg');
      const lines = [...canvas.querySelectorAll('.line')].map((line) => points(line)).filter((line) => line.length);
      const title = svg.querySelector('title');
      // The browser would show it beside ours.
      svg.setAttribute('aria-label', title.textContent);
      svg.removeAttribute('aria-labelledby');
      svg.setAttribute('aria-describedby', svg.querySelector('desc').id);
      title.remove();
      const marker = Object.assign(document.createElement('span'), { className: 'marker', hidden: true, ariaHidden: 'true' });
      const dot = marker.appendChild(document.createElement('i'));
      const readout = Object.assign(document.createElement('span'), { className: 'readout', hidden: true, ariaHidden: 'true' });
      canvas.append(marker, readout);
      const bars = [...canvas.querySelectorAll('.bars')].flatMap((path) => [...path.getAttribute('d').matchAll(/V([\d.]+)h/g)]);
      const heights = bars.length ? bars.map((bar) => Number(bar[1])) : lines.flatMap((line, part) => line.slice(part ? 1 : 0));
      const hide = () => { marker.hidden = readout.hidden = true; };
      const show = (event) => {
        const box = canvas.getBoundingClientRect();
        const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
        const place = bars.length ? Math.min(rows.length - 1, Math.floor(share * rows.length)) : Math.round(share * (rows.length - 1));
        const at = bars.length ? (place + .5) / rows.length : place / Math.max(1, rows.length - 1);
        const x = at * box.width;
        const value = document.createElement('b');
        value.textContent = rows[place].cells[column + 1].textContent;
        readout.replaceChildren(rows[place].cells[0].textContent, value);
        marker.hidden = readout.hidden = false;
        marker.style.left = `${x}px`;
        dot.style.top = `${heights[place] / svg.viewBox.baseVal.height * 100}%`;
        const room = box.width - readout.offsetWidth;
        readout.style.left = `${Math.max(0, Math.min(room, x > box.width / 2 ? x - readout.offsetWidth - 12 : x + 12))}px`;
      };
      canvas.addEventListener('pointermove', show);
      canvas.addEventListener('pointerdown', show);
      canvas.addEventListener('pointerleave', hide);
    });
  });

  // A second click would be a second signup, and its answer would hide the key of the first.
  all('form[data-once]', (form) => {
    let sent = null;
    const reset = () => { sent?.button.replaceChildren(...sent.label); sent = null; };
    form.addEventListener('submit', (event) => {
      if (sent) return event.preventDefault();
      const button = event.submitter ?? form.querySelector('[type=submit]');
      sent = { button, label: [...button.childNodes] };
      button.textContent = form.dataset.once;
      setTimeout(reset, 10000);
    });
    addEventListener('pageshow', reset);
  });
})();
