"use strict";
// What the pages do beyond links and forms; every page also works without it, but for its figures.
