// The two things a person may choose and we remember: theme and language. No framework here: boot.ts runs this before the first paint.

export type Theme = 'auto' | 'light' | 'dark';
export type Language = 'en' | 'ko';

const themeKey = 'waybill.theme';
const languageKey = 'waybill.language';

// Storage can be forbidden (private windows, enterprise policy): then choices last for the page.
export function remember(key: string, value: string): void {
    try {
        localStorage.setItem(key, value);
    } catch {
        /* the choice still holds for this page */
    }
}

function recall(key: string): string | null {
    try {
        return localStorage.getItem(key);
    } catch {
        return null;
    }
}

export function initialTheme(): Theme {
    const saved = recall(themeKey);
    return saved === 'light' || saved === 'dark' ? saved : 'auto';
}

export function initialLanguage(): Language {
    const saved = recall(languageKey);
    if (saved === 'en' || saved === 'ko') return saved;
    return pickLanguage(navigator.languages ?? [navigator.language]);
}

// The first language of the person's list that we speak.
export function pickLanguage(wanted: readonly string[]): Language {
    for (const tag of wanted) {
        const primary = tag.toLowerCase().split('-')[0];
        if (primary === 'ko' || primary === 'en') return primary;
    }
    return 'en';
}

export function saveTheme(theme: Theme): void {
    remember(themeKey, theme);
    document.documentElement.dataset.theme = theme;
}

export function saveLanguage(language: Language): void {
    remember(languageKey, language);
    document.documentElement.lang = language;
}
