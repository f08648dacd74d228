"""The one script that pages have: a slider that sets how much of a layer shows over a picture.

The page's policy names the script by its hash, so that no other can run in it.
"""

from base64 import b64encode
from hashlib import sha256

from markupsafe import Markup

# An <input type="range" data-layer="ID"> sets the opacity of the element with that id, and of its label the value.
SCRIPT = Markup(
    'for(const input of document.querySelectorAll("input[data-layer]")){'
    "const layer=document.getElementById(input.dataset.layer);"
    'const show=()=>{layer.style.opacity=input.value/100;input.setAttribute("aria-valuetext",input.value+"%")};'
    'input.addEventListener("input",show);show()}'
)
POLICY = Markup("; script-src 'sha256-{}'").format(b64encode(sha256(SCRIPT.encode()).digest()).decode())
