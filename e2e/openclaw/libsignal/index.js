// The names that are asked for at start; nothing here calls them.
export {};
