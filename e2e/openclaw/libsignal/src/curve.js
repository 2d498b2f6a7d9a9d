// The names that are asked for at start; nothing here calls them.
export const generateKeyPair = undefined;
export const calculateSignature = undefined;
export const verifySignature = undefined;
