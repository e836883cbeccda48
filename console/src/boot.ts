// Runs before the first paint, so that a chosen theme or language never flashes the other one. It must stay tiny: it blocks.
import { initialLanguage, initialTheme } from './preferences.js';

document.documentElement.dataset.theme = initialTheme();
document.documentElement.lang = initialLanguage();
