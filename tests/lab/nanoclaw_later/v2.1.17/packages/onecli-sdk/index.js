export const API = '/v1';
