// The names that are asked for at start; nothing here calls them.
export const deriveSecrets = undefined;
export const decrypt = undefined;
export const encrypt = undefined;
export const calculateMAC = undefined;
