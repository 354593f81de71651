import './installed.js';
