
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE EXTENSION IF NOT EXISTS medsync WITH SCHEMA pg_catalog;

COMMENT ON EXTENSION medsync IS 'tamper-evident medical records: ledger, keys, consent';

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.lab (
    patient integer,
    code text,
    value numeric,
    taken date,
    unit text
);

CREATE TABLE public.patient (
    id integer NOT NULL,
    name text,
    weight numeric(5,1),
    last_seen timestamp with time zone
);

CREATE TABLE public.visit (
    id integer NOT NULL,
    day date NOT NULL,
    patient integer,
    note jsonb
)
PARTITION BY RANGE (day);

CREATE TABLE public.visit_2026 (
    id integer NOT NULL,
    day date NOT NULL,
    patient integer,
    note jsonb
);

ALTER TABLE ONLY public.visit ATTACH PARTITION public.visit_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

COPY medsync._block (height, era, previous_hash, first_index, entry_count, root, snapshot, sealer_xid, sealed_at, hash) FROM stdin;
0	1	\\x0000000000000000000000000000000000000000000000000000000000000000	0	6	\\xe397ef833592cdaf7af3fdfa1db53c38cf0c888407d75b83afab30b9ad77482e	738:738:	738	2026-11-21 10:32:42.349519+00	\\x46fc999c316d6168b37234d48096a4d133c26288d16b86883606e0a8b847d8f1
1	1	\\x46fc999c316d6168b37234d48096a4d133c26288d16b86883606e0a8b847d8f1	6	9	\\xab9b242daaea85d09a32b2379191e5fcaca29edcac4f9fd7f511f22ddd68acd7	746:746:	746	2026-11-21 10:32:42.370929+00	\\xb67339a1c44ef66872080522dfe60a93321db4af73a8c6615ff71534612d741c
2	1	\\xb67339a1c44ef66872080522dfe60a93321db4af73a8c6615ff71534612d741c	15	3	\\x9db5999d19612a5326f695c9605f4ff65ce8b5c941b77dbe93c8c07ca2229bd9	750:750:	750	2026-11-21 10:32:42.386971+00	\\x6c8084c443f1cf6e5ac90f3ae6ca1132f5aa81379f288303525f972fdf6e971a
\.

COPY medsync._block_order (first_index, runs) FROM stdin;
0	\\xbe0b0002020001020002020001
6	\\xc60b0002060003020001020002020001
15	\\xd60b0001020001020001
\.

COPY medsync._era (number, id, system_identifier, timeline, database_oid) FROM stdin;
1	\\x24ebd4684fee1d058710871908b48579	7710570797557223178	1	16384
\.

COPY medsync._image (id, chunk, body) FROM stdin;
\\x5ca5197de868b5d82cfa18ee6250e044	0	\\x19430abbd1f215855a38a835275cb2a3dc397394292b97722dcad6e93f9ef62d9ee4cd7f4e6ce0f5b39cb6d003984c1718a2b61a71fe49eda758e8e671ea5f13ac3a46de3c705d075139f929568be4820e254891e7b6c5ec0a2f74405cd0d43f7311e851bf384c34d52aba9044a0833ffcf9339fecbeb44f39e1bb37b655df4b413a6e494466c8def55d73ce753c08260a0d95788266ed7ca46b1d22405df34da7b92a1f9fecf2363696a3f916a052aa79ba032636614d4e2987d832ca286a95c5afe5903d11da7310cb858160a239f2006fd7d9545b48cab4b29c277e8c043ff75173adf62018fd9cd7c600e0112e6bc95dc1edf6e7d7750eb76698f684576a1ba41d29b8fd528642d7ecc2081c33aaec79e11ea187173ca1064cb8c3dc605e4edea3f35034cca5f76987e3b4b700bdc6437fba6b83ee5889634f2309fc07348e4c6523fabe58f2850057ade7bc621058d36af46b9d3f3d11cc9f1e30526698e74bacf2ebccbb50cf2e6c3d8c4c2a13f64b6eab5cafcd084cf6e65fd26601494e12bca04656eb86e5ba9bbf54b4aa7f4f4eb05d56008907d7b25db8f2a488c84e17b8e9563e57c7ef7261621ce6e6b44bf1194ad5eee62a159f029e00e5ac4e8f4896eab46d9cb3f655903ef7618c085a565a979a1eb5e9bea4fcfc6ad2efbd3ac1d68136a1d3987e2af4022eeb88b550623de852fe3bde9615539cba6c29b9fd8d221627720863caf3b28893c25844de719b275fc402e8a75e38cd140655e245f82f797f9633619223578d9f717e81ec00cbdd86749a9caae3557dcdcffe8e5916abc1f6e0710f73edd78f6da661b7638c8d283d6dba329b8eb70fda689e74103734e1a97e2255511ce728d8583f500057bf6f5495585a3a542f3f947098a69c6113c67bfb1d27b9eafc8df15592bfd367cc5b79e8220ca76cdb50e16d3d0905eff24f050688e3acae400be5b9cd445d96d18fd127c6d41d28454dc2bdbb960470ee4c0c011ae6adddc98266b73224d2679ba37e22392ad8742d8e6bbabc278f3a1682304de5080ab4f022ffb51e80297381f53425d3746148283d0e12550d6ce3176af95efd98b1531a823e320b7ab3903e620c1d30571f7d62186539d457abc2d865cb20ec167751a7d4cab984aeb6b476dcf9c2fe0eff9d840a838ece9320fc4bbec31680137605d37bbcbf74ce9a233e83a53d4e20f977210df33fb6a88ecf7f79c2bddd7e391aec5be31a6c72c2468adb9cb405e110fe01a646738b85e1b2b65ec2ffe37630747b7244c0b8c648d75d8ce00be4090ac1e7c6b0280d2fa8eb3ad9e6c78afb0e404072d69ef42375a9a196f0643c7729fac6071b0b75c83de5e415c48ebd68080df4ddc0968f5d8c66b05f4b8d3b6d1d25c8930b8e9dcfb7b5ebd25c2c5ea7b0ecac6e4a0d364a9ab41724745114503d3df5a4bbe282710ec39c3b877fecba51e89bd293e6c1705293d26d6f912bfdd57f98c1742a05b488977e3d95d2d74a595ee19e14b018a31ce445b7f4c77b8928228de05ada1600c3737d62ee35e4fac0cce65830dfe4560f1d860468d8a655319b5bf066556333e04ccc9596a175c6473d5cd0b7ddac760d054f513063db393538c0e591dcb2ae04a342546d3535c17101cc556e302ca1312fac1b8b5cd54214fdb12156ef653c8c86cf9b13793aa7eca120c31e6290b9bbd8ecfc5a996553e3023935a9b65ed19ccd49291d3aeb2a73f501ead23fc2de33716134bdbef9686b2ea41756e1bc4cbe770ab009ce63f5cf35bf2670b1177b7b9093043efbcfa5d513d3d5e99fb7a2bd8685d8aa018c6505ea9100ee8c7bdca5bbaeb527ff0e6d016bf6418ecb9daf88102e22ff63f3724b53002a9b997189a07edba434f145416af47558a0fd8efaadaaed7cdb7f915d32226092ab47540be8c55d0bdb78a93dbbcd2cbcba8ab9f28e830bfe311dafc2090d32f809bbdc4f7523ca190cb21d751e0ce4563b46718cf5f8236cc90be68321086c7a4c9625f40e67b17d6e10a63fa1b7a1df322e76ddc38357c3a585a0bee6013d31c9b31c1271932b01bb197745e1d75147ec26f6ec6586135440220e26fe21f1d844255513f9ac16241b532434c4afffefbd286db8986263cd261ad2361dc8aa6e46d35cbb85f0c04ecd9e9e1e23edd3e2d68b4888d801c500969ea4605b33eb9a074281389aab4eece500df7ecc76dcfe02b8570f794c44cb522608cb322ce10c7f27819c19ed49b8472eabb1d5708544b6bffa8f4c4cb488de84a996f725acc5865461355921b1b72711e25f9e1714b43a50d03c6487dffb8436d9fb629511c6d6ef2290b8de358f8e597363465d9d0e7b410573f0f9c4f8fec548d73d5b51d536d8094d333b2508317a1a9064c904460a3e5192a1898381b73ab0183d2b8b5fa90032763e0b42bb015016ac8ffbcd46b86afeb85f9bb3a6d813613aa5772114cd30879014e8cf745e27716411363e589950d4363e966210c8a05a0329bf20d1a772b6315fc4c22088db1634ec0b071599c724c5f6a6107801421ea16a56625b1a28414157d6ed1ca1dafb139a8bbf2dccdfde43ddd4c13349de6c8d7a28e4b8a8d117e319a6ab0c88602c6455e8f9e460a7f44d11702ec184dfcc1aea00c269b76e4495e511011a035b06c921c2016da14d86e5a8b63a1100ed69bb0b80704c48b029ea2963f3420d23f219cab843bcb06e2fe5579179d809530b1ce37c0fb57442ff1c0f2456539e6597a96e7d5b557ea1a1fe61c217a261eb181a514883915f1d201a8fc2983add8429f45bba28a86b3a2aa4a0ac07189b0dc3a6a7f835aeb09f1d71f7e225722a8e907d06f3b92fe63cbd3122281f612573b07bd2d8844de5eab8edeb55106befd9fcc4ff9f8219c4eb9422474fa7a67e712bbbf5b5991baa356ee5a6308e9ac8c40b586ec69b92ea6e7baa2f2fc473f1876dda61f4681f285eab3967075522961636497c3d3de12c1f0ad63841ad1e563835c6828a66cd801a8ed51c89cffb4d0bf7fb703326361ad379d6e4264e0c337d032e873aedae0363c63d98e3309675d063728b86526daff53e80747ccba37ac8e225ec9ba7cb3c9f873fae3138cf51b61037620723bc53c765ba265c7745593ffe915dd78d2a92adb6725cadb44ab7e454b69b3115373eca24a943d20d1fc2ad5c612fcd13d8cfb9eb44589bdab93b054613088aaff11e798001ef36601a64cade9501467057f15fef1be41f1576c7b75d49e2dfb497d427d17771daadb2e351edeb94d0a9550e4a90ffa50da2c49b7db15c9f1c6437b2b23354c97cceaebf3e6902dde9e337714710b1bf9b7a799ce33b4dc4b48c6b55e1e05a65225255148859847e011f50638cf0cbf054fd8b4a4e5658bbd341ea9df6d2f5c583d9efbe9782fe4f9b3c9d55b2184fa422c806b10ee12b82f2ed72c871fb95db2a1d649b350590b146007399d9babf20bea087c20dfae11d9d6e482eb6ac7c6ac975541ba2c8f1a65b576e603cbe27d897ab70e60d13333b20828e9b2ba308399c0f70db5c23e9d1045ccea9def6b3a27d4b8b63c0d647f5aa6f12dd788f33eb1aab68ef4614a023dcffcc3d12b61bc454e419aacc8fd468fcc204f88893eaff60fe952696a883a02af5792ff52836f06a201fab3089bf6149bdf3b6282f656ab261141c480611bb034e5b096e57dd22ac5a42633443850531d9de047d544f1c9b0b5147f3ee7d880e5170fc2977281849d536a36e9917fc62a8598e524e38660124cd39a3982f566e8c852cef19e22a86b5ea113a7628f243f191e1edfd78c8d626f67a86ec8dc181dbf3b854d1e948be5fd6b410e3d7f43fb54e889efa58a172923e5c07537956e5b997f0a6b5973e0ae40e0f40f75314bb76d068cec6cdc13e168fbf485d329ddb8da02f99fed54cb67f2081ff85857db406e99769706dd92e11ff7ec3112b2cb5ef6bc8239afc6296bbefe32c9d8a070c262b5be1a8e7d2956e464c62175b7239e7ffe899166db46dbb503c9079a6b7819b9c3b2f0904b524e27d65a7f8f131ae9e5950c45cddc443a8863ef0119580eb6831bc7313d00b9741456ce4cb082ee7cfacab17c3e3504bc9ef721b9c038e17895e5f8fba0a3c1f73dcaa7ba885e59d102aad40fd38ad5b3d48cc6939018c91b435e38daff2c05c308027b6d52717924a6ddd43e2ad6242ee6c8d55f0f5c331096d039fa5381f84e3707d612e20363ce3aa454dc6135bedfbf0d53d4b9c84f5be992608e30b275ef9856ad8c18bdc98c5bdad374172cd8f4b994920a3d9b51aa94f31aed7534fc8f781047adadb5e3cf90ecf4b463ddddc6e20a73b6ca74c47fba1534dcb259700d9747bb6fedd63d528ed1e53349ab04c68f28980674bf6aa3cbe388cd40918cf8667a4f8238ab4395c0521cb69479864627da9ac188e037e9704eb856e750c5bd385238e5be3dafb84de429fd6e05d292dba4044ef41c13ae0d64f0e4412b9b0b6cfa6559608baffc0a322e154261f7980fbdffee72fcf426f737b6c6194a5560e9618c9913a9a31d948273431942b937ce9a4a65ef29059311f350a1ff5509fd93b07d54d0525ca6b04cefa0312a56ccd7262e9a4b65959c48abe48705cbd829d98e8ddcd1dd1ec18ff7892c94c203a005ca7c92554b8087a3c94b2b4119ea5f7c736a1b0b41f51cc78b5c522beb843ed580f10aa044447234ae510f6ab84312c16047436ef7f669e08fbf440919ac57323774fad9f8a733f9f0b5f5d5705ef8d25b1de22e6b397719cefecd217ebebe534087ae762a900ba600081ab19db97d293fc5f135c060142a51948b9ad4aa31946fcfeb9fa2be9bbcb7c5e2469f519f02b414c790ad1359a1803a344bd92196b960eff9f641129275e1de078f52a6017bdff2bd93d6a7360b93bf0320782cf15b812b937db4b7c71ce33a586fde17fc52a2db621ee4740e2caa109da535576443e6757ae4eb9a8d96bb2e2699eb20d8f137aa1239039ea4526eb0790db3f01684fd961ad1d85570a41a8a1eed8fbc1cf4581ee0942ea992c7fabdd2b62cd266cfde1a44f74f2fdbe6d239f49ae96bf0ac85d4bff34b4f23df8b8ed422dc03957fa6c33fd363a1780ff446c4a7dcf1ec8cd4dc8195b5b2a0f369d704b95a391f3d420d8d8b1008a83918442543b64da69b72ccd562f287834478d9694e09802083af21ce77a17abf4d2a3ee4f43eae55c6490f53e86e8621f474c1b87ecbddbfd96caad687d8fa9a7ccf4e0f227c52df7caa2e40422dc4b17a090353a0347f99094de2c5913f3f2845a8b500f425e5b79501b704a592eeb622bc1ba27c48318f57b91ba2babaff3797b88112351404faa0f80f3cb09dfc90e096fa6727f5751fb37f9ecbcabe1b9dae576eaa5083827669982661a0202a59ceab6d562645e5b6a4e14f0de53b551a449ab7bba0dfcac21a21951cdce8ff327d146be3e57787fee69a75c7f8ba5b107541ca95d53f58eb80554392453f7b99b9022d2f247bf3e759293d2b3c0af5c2252e8fd050c47430a22b9c411c1605428f333102cdbd8ceabcca36fab56a553b4f52c3557a4eaa1a417cb3f87fc45f23ca42ca242819490f23a00da5730e3983e41c1443ecd3076c898d6dd18bf47c91619d98da5778a13ae1473478eafc56266664701eccba3329816cf481c3d034858ba58979519ca536106eee8e7f8cd914a1136f0b3ecebf134db9c438feb3cb71cfcf3108f014eafce013fa79721e0a6ba6a4953876487c6186f4672cf708e3099ccf7a1796717852f5f0f7c20bd18a75368688a5ba9b0ee5656e104015469bbeba915072d1a1a9ece4f88b6d472024f6097d10ebc7ada8da668df8d92adeebe9fabd66c56a6d408a1cad20c55b68c3e1ff71a267704ba696f12a05a59175bd1dc9280250faf22e606c8f4346f970b56c23318689fe72a4110a8b8f3464d3ea33ae7b28af6ced2876417ee40e9c2b40d71049a77fb5a034110b78f94d18fb608d3fc17149306726af6d701b39d54a0d1e5bf29f457352dc2542378bc0b8da5163eec0006f3db02fb54344b8f83e98b92fe23cc861fc13bf2f1510fc5d403e03f118c5f0bb7feb294fe9b9121959e09537584a87bcc80c0cd98631060cb12f2cd394338509067a00ae15b6c4077f22bcbe56470112374aab47d7b9e456e424d980d1943b796aa0743287e5a709c45017c9070fcbd44e8bed48d7242624236709bdbd78e57de1845d73b5886f03662e3815633bcaa686ad3e460e9bdfa9b6c3a935f67009d9cfeaa45168f7d2c7fc1ddd5a3dd289189a9a5d0501f4a220b7f7a2f9104a28a971d738ddf16372844e2cb58c975f2611db1972228d6c9c1832a228b56f96edf259e34cb410319897f4ca3abb4164fe5f2d4dc41691056941e09612dfe075d8ab804d381124ac08ce8b78dd8ebcd58cd1b65a53a0553d9b4c2b421887a483dcdde1ba58c28bb28046a1e373cc64ada04ee1fc0e85d8975b904362f082dec37e1b06a066de0c7f4c4a209d83aa5e5297b58a71474d74b2085bbddce28aecd00ce637a286864a2dd35841f096d9367097796b80a799b5327e273fa6cd68a681545a2629d61065035c752226390ea4dd1c0b0a2027c9d012562bc4bc39426a23e73d2b0b0ce5497f84fa68a3d9f3c113545c0926ec296a9e58b1bcabe51595036d0b482b04c9483b8535b1bb74fba9647a137e2094a0a657f5a48627c926e7fa5fad12b20f8c1cbe1939ec1e681d348cbc7ed9bb04ce05c08ba405fb12b8a8c69bb69bc47bf2a32a05745855f2257a3d6679b90be006e9de70eeb840e57e86e2f40913f8ae670fd280b6e674c275e35527b19a837cb29b5e658a07a6b77b1def608f9f57e2e89032622d765f3361934a81a64d32f01d09176b4a8703f885b99905d8866ab50018d0eb2b160ab647b8b521ff2ff2cbbed9bc9619b0e797ed9611fdedc3792e435359d7dce14ccc78b5252c4e3d4b2ef666e0e6491aa177b71b85b037ddab05dd7218a8f62ec45297d425e4f814740f8ed8b11955e66ef04e32f81021553be3f1fd241890da56dfc10877e59817cab7bfb234b80efbbdddd49cfacc88706e1c8b22b3363ff727622084ebf06c6747f859051c190786850e0c5e74d7cb1a94f373f239472e945b4aa7704f6e6241ab6c2289fe934d00c4216f54a6171dbd841efb7bcb270bfdeb787e7488ce4acef9a5c70dfef205c0943d01b8d924f804ec4b109be43348d0f59012dd9e34715dd3641f728f722f70573318902319408617229938d3d668619469b78ac9ee9c92c17e4779faf2f77b5ca994643e47780b4ae88c70be84d4237d3f94d426d16d5d5c6ab57b5e7743f4286758238110a1ad1ccd9a1dea17ce76324236746700aa2ae7903f67910fa56f04c78db35cb5f8361356999431512f02e2e0b0ed2961a337cfae989267e31f5b60487e9d02e30a42c5d89af1f37d8a29466a3de51588f34f2777a76ed33b33cfa3dd12274b622fcfbe9c192e576d2f88646337ced543924f136a96bfb95e97c687d3ae28f1f0ea2c5c965244a1ee920242d723dcf6cb9a2996155869d568dcd10a5a45cbb32969ec036587091dc603506f40f1e3bfa7ab19fabca1af898f3aa25b3623244126c857cbaba2fba17096f364de825a4f7632739f8a0f0797b78e0556a7ca1ab4306e8738dd96b34e6620dd8b475ef35f2036e77fb5fa3a6b4b3254a6c81bc316df57bb72691931e7b0e51bfecc35eacb8a9c6e0e43ac50d8c4ea8947881017eb38e2a763b1993a44bde938f6a8058ac8368b2dc91ced2652e0ab70bd892c5e2a358ff8c0372b8728ed8e587f53e76f3320f6ce255791870813279fb0876409037fd21f20fab328829b9ba7c04c6d0fb5425d7efd8d9f31c99e0a5827d76c03dd1ae78a079ce07954c6ba5298871c79408b29a76b0a1a530e8705536145ec0a582d9eb1e97f48146b471183cd67898b4ba9eb68a5803b091ce055c28b2ffec15fc5532f4658efc19d4c9079f09db09fce6d4b89785cac0b9e8d6245d8c353112e1e18c130fdc3e1c929750eed59fc220c0970ee5bec612db7aade7a9c5d4717d06a1f5315e1d90bfcb2a55945d7feb25b46497eb809b0cdebcb9120c0a6d4686b36bd80d39d215a2331a85b29635f20e700d6c8c16c3c3f3832c447fccddbb9eb3ebb260f1bb28bc41273f6d173a35d0cde0b83d29efe10d9585c8ebd2f21bb67641d071c56168dfb69d791c9cf21bfb7cc3a16ba37a8df5d5fe59b745c1f39b0de89501a9c2076a383866f6abde5cd6da3cc9b42f40c417a9c22d54fb7e78780bdc88c5a4b9559ffb9b887e4b490d720fbbdddf9fb28c3a1579a7bf67424cf057b49bf9c8c030092295932410f8269725ba255a3f72cc66412d67561c425b9f0a60ac6dfb3fa986b8712c27c86f3e9e120f2c307e4660396eb32aa7ce95c45728ee64609ff6ff2d6d2657e0dbae74d43a76edbecc056c98342d9953c093b54301a1c3a13f537fa663bbe8a979837b147bafe6d8098f52c71946e7f797569fa65e37a0c72c6e9af15a5cd8efc4bedf0a981e4c6a8897995c8458b282c2a7e0df13961e50c1c4dc4d86984f9c2f995ddc369e305f90eedd9bf3c3505c4ee5ef36256ca3dd22aa55c7e1f33d0d78553b85361c74a39e4c409194e8aeb1f8d9c48c999bd638fe1c98cea7bb74a0e2f7bc3d403012219163e85fe027f37879ad8c8c726b3bf6923950667e5ab23d0cf3ac793ec0e359a40b29bbdbed3e2f1cf249714a7d2ba329497362f6672a39abf97f362c2ec6d5f43b2ed64c474870203c4aba1cb0b5af7221b2dd5373ebac4def9cc7f75b3c443c00a645d9721ca3386c83d1f281a008158103ecd6bcf2674198f0b90a321e46783edc675e1f218821e39ca29b2b831ad5e5d5f36e7c46
\.

COPY medsync._journal (xid, ordinal, body) FROM stdin;
735	\N	\\x01b179cf4c38a3ba8acfade9c8dec846fb0101b0f8e60c000303c5a63954cb08706f737467726573dfbcd95974a47044baf6ea48be7621c955375ed9b62a0473c53e7a300cda0ea602cf800209010102d61f00c592daae6bc2a0740d96aade27d86dfb56d087560c8be488f103d26a7d2aa8c68f6dae5e67ac9497f0b96253238657c50d060800c592daae6bd51b5569b3647a4bc16ee983d7f9eaf5142efa8880dd56f4dca1dfc7aff1ac5ea91015c5b0e9b6f5e37d7cf8553da175d578001f24c1e52a156327083f9b42e2ab5f6ebaea641e969b5b7c1c2baa4fbd5e3fb2e6c7835ed499b100b2c5740a1c0d05
736	\N	\\x0100cb14e2e2f05873a986fb6ee3614eac0001d096e70c000303c5a639579b08706f73746772657301cb8002090201d40600c592daae6c35eb15f91b1165a0ee9df8f40674e62daccddaa609926f9688fc88ee60c7a92e389224609e1577fc3799
737	\N	\\x01792e68d66e0f9d29e2618b4c47dedf7f0001f8cde70c000303c5a6395a4808706f73746772657302cb8002090301ee0700c592daae6c051a9ddf492357dad0d8a5c9bd2806eb25e2bdb1ef2ab3b7d369fdff7341765a91751fc2f6b9b7e87573c6800204010400c592daae6ccad59f4af7be93cb516f7c28586b46c6920ee3da2c00a2c8377062576fa05e671d3a399e65eb3b7df25f
738	\N	\\x01b6547b8318b563557214ad3474ff09770001a8d4e70c000303c5a6395bdf08706f737467726573018180040d14000000016b017349bbe60f0a0000000100004000
739	\N	\\x01b10887d4f44eaa86fd57935da58a20a80101f0e4e70c000303c5a63996280a636c696e69635f6170709f73242011ba98dcc1428094e21acb3d54824e29a2dafc8d91acb4a19c24c49e02cb0d010101f43900c592daae7aea7fb96c67b83290876fd836a632832b36fa75995dfa91cdbd32168b67172be3965946796cd0ffde7d445f45874efbbd8ac3e807734aa77e78a5299f5f39db408999a7eb20c02c58f47e823de1952d35386e6c491a760d29857d6dce38996218fd751f50bd0f0202df3601056e75727365d836a632832b36fa75995dfa91cdbd32168b67172be3965946796cd0ffde7d445f45874efbbd8ac3e807734aa77e78a50851807414bee4980debdbe7085f2645c78b5881bea0016f768629688bf28aa029fd681886e64340ce2dac519a7ee2b8a1bb3af82333c44e12a8049c9a9107be594bb0e0b54db554d6ca
742	\N	\\x01a1c7fc960bd747a996ac18075e541a2d0001d0eae70c000303c5a63999230a636c696e69635f61707003cb04010201d20300c592daae7aea7fb96c67b83290876f5a1c3dab685e278438d65a7dea760e4c265332a7dc28f9d2f91bf975358f986d80045a1c3dab685e278438d65a7dea760e4c265332a7dc28f9d2f91bf975358f986dc00400c592daae6c35eb15f91b1165a0ee9d9af5d3056c0baa4cb6d9cef0ff41e63e30f2020f7611c737f7ea1ea1e822f5cd
743	\N	\\x018f0c8711aeefa3ef683cced4b26a8a820101d0efe70c000303c5a6399b420a636c696e69635f61707033b5541a60f289901954b9243cfddb3c7e636e6b0e8bbfeb2d2ccaf5284d5a9201cb0d010401be0500c592daae7aea7fb96c67b83290876f995f5a4a0e8888bde7b05416f0be6fbea94aeeab226033066cfc9710d41c0478a6d40e2f9d8c330d0c8dfb005dc5c0a3467334deec6005ea5212ad4550314abb052c2ac17bf78b56cf4684a20282b04437947d0f5a16128100f3b5129501c9b3e44bf48f2571afcafce5fb13d70c136e12c634598e890f
744	\N	\\x018a2a19588a2571770ac5a4b380eb87390101a8f6e70c000303c5a6399c410a636c696e69635f617070b4c5ab7b0727b6d507e5243646d784cc4673a7ba2cfa919c679d71039386edbe02cb03030101d80100c592daae6bd51b5569b3647a4bc16ee983d7f9eaf5142efa8880dd56f4dca1dfc7aff1ac5ea91015c5b0e9b6f5e37d7cf8553da175d578001f24c1e52a1563c10d0400c592daae7d5da52aabfb0b453dac5c8230c584ac7c00b7b8b4039182ba822210e95bae4134f748797ebb12533286d00266390fc8b7b91f3edf757b7236530b27818ec2c8ac9776baa2eaa5f62ba85d097c5f68e6e6762eb483ec51a6f4265d1b2f7236c2410f1c
745	\N	\\x01a62177539edce060fdbac8fc7ccd5f78000188fae70c000303c5a6399d120a636c696e69635f61707001cb02050201860100c592daae6c35eb15f91b1165a0ee9d9af5d3056c0baa4cb6d9cef0ff41e63e30f2020f7611c737f7ea1ea1e822f5cd
747	\N	\\x011478b1f598ddd0657a9fe678aa424b3b0001a08ee80c000303c5a639b79b08706f73746772657301cf800209020201800a00c592daae6c35eb15f91b1165a0ee9da7dea5fe71f97b973e895e8591e216325df7d1deaaee37d454449776adb9c4ef
748	\N	\\x01e979f8c511e48f627311c6f0185bcecf0001c0cbe80c000303c5a639d7ae0a636c696e69635f61707001cb15010401f23100c592daae7d5da52aabfb0b453dac5cbdfa65a31bd368e5518207ec6fb7293bb033aa27016aafa57c3f24fac66394c338fc259e93a8dbde56de66affb45b759ecf48c48b18e6bea6989d24cf4c7197a6d310813a7fab29b086cf48765e5ca388731
749	\N	\\x0187538bfe2bbe8229ea5f18fdc5de32e90001b8cee80c000303c5a639db860a636c696e69635f61707001cb03050101d40700c592daae7aea7fb96c67b83290876fd836a632832b36fa75995dfa91cdbd320851807414bee4980debdbe7085f2645c78b5881bea0016f768629688bf28aa0
751	\N	\\x011c57c18ad8e8e42cc2c41828781e3c4f0001c8dae80c000303c5a63a30d60a636c696e69635f61707001cb06020202e64900c592daae7aea7fb96c67b83290876f5a1c3dab685e278438d65a7dea760e4c265332a7dc28f9d2f91bf975358f986db60628a7df26e124133fede4324c8815929576def32ea2af96f6841babe5184c
752	\N	\\x01d7de57ad380ff20e4c539e43e0fee7970101c8e0e80c000303c5a63a350b0a636c696e69635f6170702e10069a5c530d20f937d6043a528ef808dc44bb3a42d84f1b5c32e97892019201cb0d010101fa0700c592daaea529aefcec2b9f216916e8759ad2d4d00e4a1b1dbd3b7813c4ad96dab5bbbbec2f55510b387ff92b153b47c0ca6fced21ef82abc082b68dda7b468272a3bb9a5c9ee54002521ec2847fdd05dc72702978e3be107542029938bd39c211c09edc2a6be7d
\.

COPY medsync._key_encryption_key (number, created_at, master_key_id, wrapped) FROM stdin;
1	2026-11-21 10:32:42.346647+00	\\x3bc15fa6311ffedc	\\x0c109f0cf12597e2616fb4afc09cb0050f70900b5bc2490a1a8cf4c3683c481521c9bd7cf1b2ea6fc99ab654c7bad348231969bcdb3cb40370534d11
\.

COPY medsync._ledger (id, created_at) FROM stdin;
\\x28dd5d2c8d026a111964123d9811d053	2026-11-21 10:32:42.346933+00
\.

COPY medsync._lookup (kind, segment, chunk, postings) FROM stdin;
\.

COPY medsync._manifest (table_number, version, content) FROM stdin;
1	1	{"table":1,"version":1,"schema":"public","name":"patient","parent":0,"tracked":true,"partitioned":false,"payload":"full","subject":1,"next_column":5,"key":[1],"columns":[{"number":1,"name":"id","type":"integer","excluded":false},{"number":2,"name":"name","type":"pg_catalog.text","excluded":false},{"number":3,"name":"weight","type":"numeric(5,1)","excluded":false},{"number":4,"name":"last_seen","type":"timestamp with time zone","excluded":true}]}
2	1	{"table":2,"version":1,"schema":"public","name":"lab","parent":0,"tracked":true,"partitioned":false,"payload":"hash","subject":1,"next_column":5,"key":[],"columns":[{"number":1,"name":"patient","type":"integer","excluded":false},{"number":2,"name":"code","type":"pg_catalog.text","excluded":false},{"number":3,"name":"value","type":"numeric","excluded":false},{"number":4,"name":"taken","type":"pg_catalog.date","excluded":false}]}
3	1	{"table":3,"version":1,"schema":"public","name":"visit","parent":0,"tracked":true,"partitioned":true,"payload":"full","subject":3,"next_column":5,"key":[1,2],"columns":[{"number":1,"name":"id","type":"integer","excluded":false},{"number":2,"name":"day","type":"pg_catalog.date","excluded":false},{"number":3,"name":"patient","type":"integer","excluded":false},{"number":4,"name":"note","type":"pg_catalog.jsonb","excluded":false}]}
4	1	{"table":4,"version":1,"schema":"public","name":"visit_2026","parent":3,"tracked":true,"partitioned":false,"payload":"full","subject":3,"next_column":5,"key":[1,2],"columns":[{"number":1,"name":"id","type":"integer","excluded":false},{"number":2,"name":"day","type":"pg_catalog.date","excluded":false},{"number":3,"name":"patient","type":"integer","excluded":false},{"number":4,"name":"note","type":"pg_catalog.jsonb","excluded":false}]}
2	2	{"table":2,"version":2,"schema":"public","name":"lab","parent":0,"tracked":true,"partitioned":false,"payload":"hash","subject":1,"next_column":6,"key":[],"columns":[{"number":1,"name":"patient","type":"integer","excluded":false},{"number":2,"name":"code","type":"pg_catalog.text","excluded":false},{"number":3,"name":"value","type":"numeric","excluded":false},{"number":4,"name":"taken","type":"pg_catalog.date","excluded":false},{"number":5,"name":"unit","type":"pg_catalog.text","excluded":false}]}
\.

COPY medsync._subject_key (tag, key_id, key_encryption_key, duplicate, wrapped) FROM stdin;
\\x00000000000000000000000000000000	\\xd33aa934a658f523c35b8119f0cae2c8	1	f	\\xec494453b0a691c9ea4de5f113d5c3f86271a6beb0f3b15dbed786d1d1e6faf2d10182b7719034373ab668e18df60f98b2de9a26fa71d791300d63cd
\\x91fcea1f66f510e63d255cf327913e80	\\x00c592daae6bc2a0740d96aade27d86d	1	f	\\xd2ec60523ccaa9c887ed24122565db189282ed1ad12a5f0d922ef23492e1b759ea00e114ce603b409958008ae5c142399121e014396471fdb409ae06
\\x29d580d0c8e2cc0bb31f84e4d536ac6f	\\x00c592daae6bd51b5569b3647a4bc16e	1	f	\\x631ac12f8b519100c964e2fb6414c0845966d6bbc0f826b59484cf1c759748b88c9a8ef656acc1b3f7144716bbdc2dd219f5ad3ae1d446e466aa2b09
\\x4ac2e5e43105a4db7ccf3f8bc0841110	\\x00c592daae6c35eb15f91b1165a0ee9d	1	f	\\xc23f8e59907ba5d5b88ca1f14d57e945ae016e9894ab84d3885ad4e6b109530be0ba8189e0924e6067de3483a95ba1cab88108f5e416dfcdde3d7fd9
\\x669b60ad1cca255bc01c7b5970234fec	\\x00c592daae6c051a9ddf492357dad0d8	1	f	\\x3e1dfb22f2dc564a4a6cbd3a0b63177a792c67f00a0e01dad59050f4e52fc6cae4c35d8be7fe9396a76fde5d68db300f5b66f9dd3c33389f72b08334
\\x2d10328d682a93ec6221cd55b0dafeb6	\\x00c592daae6ccad59f4af7be93cb516f	1	f	\\x53408d33a0b44b37a9314cf5d03c4fea4eaa846b49aef405c350cf81a721ea0f0f80d00c3bcc05cf1b363b817698aa295ad52d3a49c2f79344578c86
\\xadd4a6fb47c33137d82e9867c12eddd6	\\x00c592daae7aea7fb96c67b83290876f	1	f	\\x160ce3a62d357e19ba167723c6785dee3e228a22e3d14cd958bc62bccc96f5134ddd2cc9e8e83e9e91f6ea6b037ce2115b1e24a22e0635b6f4d3c1da
\\x08031a835a90f8d8bb8957370112b0dd	\\x00c592daae7d5da52aabfb0b453dac5c	1	f	\\x76f81d0bbd8b7eb0f5d2ddff0c496d9468c809edcd987619b7da116f4a30c1e7ea467309866ac3e050de32982805aeb5430a0acee38374a5cb5e72a3
\\x5a25ab6495f59d2ac6ed6b0527b712e7	\\x00c592daaea529aefcec2b9f216916e8	1	f	\\xcc8dc67e066d129ad3c4cddfebdf1210d1acce66a0b94d376f25f41bbdbc9c5e7494820094ad19b61634c4937626dc1e11134233ad1616c1531fed33
\.

COPY medsync._table (number, schema_name, table_name, manifest_version, tracked) FROM stdin;
1	public	patient	1	t
3	public	visit	1	t
4	public	visit_2026	1	t
2	public	lab	2	t
\.

COPY medsync._tile (level, tile, hashes) FROM stdin;
0	0	\\x384a0f0ca94fa2b9b9ff4e2f227ad8f8b1601be0930d9f015a07fa7b3b19064239b62fb85eb22f9c3cf4e82b7aac2a5eea6013a1c205e6cbb01fcdb6711f3c72db35cee0404a588851e5b128bbdd175aeb7c7478510eaf37d00e486d185db1342c3c5a88221008104e5aa11e8bbd7485a59b93e20741eb528afa73530a9a630f887cca0ca0a553843f3b15f440a486aa61fa40c4c8f8bec721128158d6027ad98780f6daba443fa208c628f9cbbf67ce4206a767f0bf35e85ecfbc5f6bde1be4580afcc7c40e76156ec7d0ec130a5baadb29987cf9115d0490b9b98312abd76abbaf732a4c78914e732921aed803ec142c4db2c636da16ccbb6e58d2d157caba382e4437240e5b5fc8591b716fa6c90484750221582ee6e989885dc85897fba2ca2b25277db48c2c8d0d1e680cf6ed484faeeb2d29d78e4cc4e185095c50bf8cbf69096f906198570957e01b4c7cc9f830e07a9fe568a2f5567a6e325cc37fc4f5588ffc0ed8ad0d792dd2b7f681be3102a6fe1aa5b63e87ea9e93e5f6577db8087f84d5888914bd0d2ecf938afde16b9a73352f52bbdbd3a85544db35a6d430422b4b6b66146c302e55ae2376ec07fb9772837e4e9b10059f986cf1d50d1536e3d520f1031fff961249f5fd4a64ab91253e5fe5ed3e5d8782c771ad1e8cbdc575eabf7e50f550122a2c2db35168e3bd9b55d11c529050748e46555608212abc5b82e85a1c3a4ef4a80d589dfd9d2e5f0a9fc5ae93a3478ece934db1478ed477e58669a62b320ac168de30d20febd27330f5f5fb18ee25de6159a20ff58c2934
\.

COPY public.lab (patient, code, value, taken, unit) FROM stdin;
2	718-7	13.20	2026-03-01	\N
2	718-7	13.20	2026-03-01	g/dL
\.

COPY public.patient (id, name, weight, last_seen) FROM stdin;
3	Ana	61.0	2026-01-01 08:00:00+00
4	Cem	80.0	\N
\.

COPY public.visit_2026 (id, day, patient, note) FROM stdin;
1	2026-03-01	2	{"days": 3, "reason": "cough"}
2	2026-03-02	3	{"note": "A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. "}
\.

ALTER TABLE ONLY public.patient
    ADD CONSTRAINT patient_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.visit
    ADD CONSTRAINT visit_pkey PRIMARY KEY (id, day);

ALTER TABLE ONLY public.visit_2026
    ADD CONSTRAINT visit_2026_pkey PRIMARY KEY (id, day);

ALTER INDEX public.visit_pkey ATTACH PARTITION public.visit_2026_pkey;

CREATE TRIGGER medsync_capture AFTER INSERT OR DELETE OR UPDATE ON public.lab FOR EACH ROW EXECUTE FUNCTION medsync._capture();

ALTER TABLE public.lab ENABLE ALWAYS TRIGGER medsync_capture;

CREATE TRIGGER medsync_capture AFTER INSERT OR DELETE OR UPDATE ON public.patient FOR EACH ROW EXECUTE FUNCTION medsync._capture();

ALTER TABLE public.patient ENABLE ALWAYS TRIGGER medsync_capture;

CREATE TRIGGER medsync_capture AFTER INSERT OR DELETE OR UPDATE ON public.visit FOR EACH ROW EXECUTE FUNCTION medsync._capture();

ALTER TABLE public.visit ENABLE ALWAYS TRIGGER medsync_capture;

CREATE TRIGGER medsync_truncate BEFORE TRUNCATE ON public.lab FOR EACH STATEMENT EXECUTE FUNCTION medsync._truncate();

ALTER TABLE public.lab ENABLE ALWAYS TRIGGER medsync_truncate;

CREATE TRIGGER medsync_truncate BEFORE TRUNCATE ON public.patient FOR EACH STATEMENT EXECUTE FUNCTION medsync._truncate();

ALTER TABLE public.patient ENABLE ALWAYS TRIGGER medsync_truncate;

CREATE TRIGGER medsync_truncate BEFORE TRUNCATE ON public.visit FOR EACH STATEMENT EXECUTE FUNCTION medsync._truncate();

ALTER TABLE public.visit ENABLE ALWAYS TRIGGER medsync_truncate;

CREATE TRIGGER medsync_truncate BEFORE TRUNCATE ON public.visit_2026 FOR EACH STATEMENT EXECUTE FUNCTION medsync._truncate();

ALTER TABLE public.visit_2026 ENABLE ALWAYS TRIGGER medsync_truncate;

