// For landing pages: remembers the ?ref= that a visitor came with, reports the click, and hands the code on to forms and
// links. The server puts in the window and the click model, and sends it without comments and indentation.
(function () {
  var me = document.currentScript, own, kept, store
  if (!me || window.refloop === 1 || !window.fetch || !window.URL) return
  window.refloop = 1
  own = new URL(me.src).origin

  function start() {
    var now = Date.now(), code, before, told
    try {
      store = localStorage
      before = JSON.parse(store.refloop)
    } catch (e) {}
    if (before && now - before.t < $DAYS * 864e5 && /^[A-Z\d]{4,20}$/.test(before.c)) kept = before
    code = new URLSearchParams(location.search).get('ref') || ''
    if (/^[a-z\d]{4,20}$/i.test(code)) {
      code = code.toUpperCase()
      told = function (answer) {
        // Any other is no code of ours: sites put words of theirs there.
        if (answer.status != 204) return
        kept = kept && $FIRST ? { c: kept.c, t: kept.t, r: code } : { c: code, t: now }
        try { store.refloop = JSON.stringify(kept) } catch (e) {}
      }
      // Again: told already, by what was remembered or told last.
      if (kept && (kept.c == code || kept.r == code)) told({ status: 204 })
      else return fetch(own + '/r/' + code, { method: 'POST', credentials: 'omit', keepalive: true }).then(told).catch(function () {}).then(go)
    }
    go()
  }

  function go() {
    if (!kept) return
    hand()
    document.addEventListener('DOMContentLoaded', hand)
    // What the page adds later.
    ;['focusin', 'submit', 'click', 'auxclick'].forEach(function (name) { document.addEventListener(name, hand, true) })
  }

  function hand() {
    each('input[name=ref],input[name=referral_code]', function (field) {
      if (field.refloop) return
      field.refloop = 1
      if (field.value) return
      field.value = kept.c
      field.dispatchEvent(new Event('input', { bubbles: true }))
    })
    each('a[href]', function (link) {
      if (!/^http/.test(link.protocol) || link.origin != own && !link.hasAttribute('data-refloop')) return
      var url = new URL(link.href)
      if (url.searchParams.has('ref')) return
      url.searchParams.set('ref', kept.c)
      link.href = url
    })
  }

  function each(which, work) {
    document.querySelectorAll(which).forEach(function (found) { try { work(found) } catch (e) {} })
  }

  try {
    if (document.prerendering) document.addEventListener('prerenderingchange', start, { once: true })
    else start()
  } catch (e) {}
})()
